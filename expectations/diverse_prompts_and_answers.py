"""Most prompts and answers stand only once in the set.

in   a batch of pairs
out  ExpectDiversePromptsAndAnswers, which asks expectations/measures/diversity.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.diversity import Diversity


class ExpectDiversePromptsAndAnswers(PairsExpectation):
    """Most prompts and answers stand only once in the set."""

    measure: ClassVar = Diversity
