"""The two answers of a pair are two answers.

in   a batch of pairs
out  ExpectChosenToDifferFromRejected, which asks expectations/measures/answers.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.answers import TwoAnswers


class ExpectChosenToDifferFromRejected(PairsExpectation):
    """The two answers of a pair are two answers."""

    measure: ClassVar = TwoAnswers
