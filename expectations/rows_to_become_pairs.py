"""Every row of the file becomes a pair.

in   a batch of pairs
out  ExpectRowsToBecomePairs, which asks expectations/measures/becoming.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.becoming import RowsBecomePairs


class ExpectRowsToBecomePairs(PairsExpectation):
    """Every row of the file becomes a pair."""

    measure: ClassVar = RowsBecomePairs
