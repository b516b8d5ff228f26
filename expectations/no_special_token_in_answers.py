"""No token of a chat template stands in an answer.

in   a batch of pairs
out  ExpectNoSpecialTokenInAnswers, which asks expectations/measures/marks.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.marks import SpecialTokens


class ExpectNoSpecialTokenInAnswers(PairsExpectation):
    """No token of a chat template stands in an answer."""

    measure: ClassVar = SpecialTokens
