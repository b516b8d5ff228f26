"""The two answers of a pair are two answers.

in   a batch of pairs; the measure is `chosen_differs` in expectations/measures/answers.py
out  metric "pairs.chosen_differs", ExpectChosenToDifferFromRejected
"""

from typing import ClassVar

from expectations.coat import Measured, PairsExpectation
from expectations.measures.answers import chosen_differs


class ChosenDiffers(Measured):
    metric_name = "pairs.chosen_differs"
    measure = staticmethod(chosen_differs)


class ExpectChosenToDifferFromRejected(PairsExpectation):
    """The two answers of a pair are two answers."""

    check: ClassVar[str] = "chosen_differs"
    metric_dependencies: ClassVar[tuple[str, ...]] = ("pairs.chosen_differs",)
