"""White space around the answers does not tell them apart.

in   a batch of pairs
out  ExpectSameWhiteSpaceAroundAnswers, which asks expectations/measures/marks.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.marks import OuterSpace


class ExpectSameWhiteSpaceAroundAnswers(PairsExpectation):
    """White space around the answers does not tell them apart."""

    measure: ClassVar = OuterSpace
