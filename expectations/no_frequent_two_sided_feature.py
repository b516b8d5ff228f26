"""No feature of both sides tells the chosen answer from the rejected one.

in   a batch of pairs
out  ExpectNoFrequentTwoSidedFeature, which asks expectations/measures/shortcuts.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.shortcuts import Frequent


class ExpectNoFrequentTwoSidedFeature(PairsExpectation):
    """No feature of both sides tells the chosen answer from the rejected one."""

    measure: ClassVar = Frequent
