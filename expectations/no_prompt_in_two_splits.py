"""No question of one split can be recognised in another.

in   a batch of pairs
out  ExpectNoPromptInTwoSplits, which asks expectations/measures/splits.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.splits import PromptInOneSplit


class ExpectNoPromptInTwoSplits(PairsExpectation):
    """No question of one split can be recognised in another."""

    measure: ClassVar = PromptInOneSplit
