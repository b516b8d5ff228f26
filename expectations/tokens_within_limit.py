"""No pair has to be cut to fit into the model's window.

in   a batch of pairs
out  ExpectTokensWithinLimit, which asks expectations/measures/lengths.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.lengths import Tokens


class ExpectTokensWithinLimit(PairsExpectation):
    """No pair has to be cut to fit into the model's window."""

    measure: ClassVar = Tokens
