"""User and assistant take turns, and the prompt leaves the last word to the model.

in   a batch of pairs; the measure is `turn_order` in expectations/measures/turn_order.py
out  metric "pairs.turn_order", ExpectRolesToAlternate
"""

from typing import ClassVar

from expectations.coat import Measured, PairsExpectation
from expectations.measures.turn_order import turn_order


class TurnOrder(Measured):
    metric_name = "pairs.turn_order"
    measure = staticmethod(turn_order)


class ExpectRolesToAlternate(PairsExpectation):
    """User and assistant take turns, and the prompt leaves the last word to the model."""

    check: ClassVar[str] = "turn_order"
    metric_dependencies: ClassVar[tuple[str, ...]] = ("pairs.turn_order",)
