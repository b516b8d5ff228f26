"""Few pairs stand twice in the set.

in   a batch of pairs
out  ExpectFewDuplicates, which asks expectations/measures/copies.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.copies import Duplicates


class ExpectFewDuplicates(PairsExpectation):
    """Few pairs stand twice in the set."""

    measure: ClassVar = Duplicates
