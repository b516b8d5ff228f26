"""Few prompts of one split nearly stand in another.

in   a batch of pairs
out  ExpectFewNearCopiesBetweenSplits, which asks expectations/measures/near.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.near import NearPrompts


class ExpectFewNearCopiesBetweenSplits(PairsExpectation):
    """Few prompts of one split nearly stand in another."""

    measure: ClassVar = NearPrompts
