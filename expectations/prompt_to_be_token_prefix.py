"""What is trained is what the model sees when it is asked.

in   a batch of pairs
out  ExpectPromptToBeTokenPrefix, which asks expectations/measures/lengths.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.lengths import PromptIsPrefix


class ExpectPromptToBeTokenPrefix(PairsExpectation):
    """What is trained is what the model sees when it is asked."""

    measure: ClassVar = PromptIsPrefix
