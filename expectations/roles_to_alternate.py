"""User and assistant take turns, and the prompt leaves the last word to the model.

in   a batch of pairs
out  ExpectRolesToAlternate, which asks expectations/measures/turn_order.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.turn_order import TurnOrder


class ExpectRolesToAlternate(PairsExpectation):
    """User and assistant take turns, and the prompt leaves the last word to the model."""

    measure: ClassVar = TurnOrder
