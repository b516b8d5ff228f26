"""Where there are scores, the chosen answer has the higher one.

in   a batch of pairs
out  ExpectScoresToAgree, which asks expectations/measures/scores.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.scores import Scores


class ExpectScoresToAgree(PairsExpectation):
    """Where there are scores, the chosen answer has the higher one."""

    measure: ClassVar = Scores
