"""The words of the answers, in no order, do not tell which one is chosen.

in   a batch of pairs
out  ExpectWordsNotToTellChosenApart, which asks expectations/measures/bag_of_words.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.bag_of_words import BagOfWords


class ExpectWordsNotToTellChosenApart(PairsExpectation):
    """The words of the answers, in no order, do not tell which one is chosen."""

    measure: ClassVar = BagOfWords
