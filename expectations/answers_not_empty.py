"""Both answers of every pair say something.

in   a batch of pairs
out  ExpectAnswersNotEmpty, which asks expectations/measures/answers.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.answers import Answers


class ExpectAnswersNotEmpty(PairsExpectation):
    """Both answers of every pair say something."""

    measure: ClassVar = Answers
