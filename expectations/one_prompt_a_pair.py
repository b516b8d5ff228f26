"""Both answers of a pair follow the same prompt.

in   a batch of pairs
out  ExpectOnePromptAPair, which asks expectations/measures/becoming.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.becoming import SamePrompt


class ExpectOnePromptAPair(PairsExpectation):
    """Both answers of a pair follow the same prompt."""

    measure: ClassVar = SamePrompt
