"""No pair has to be cut to fit into the model's window.

in   a batch of pairs; the measure is `tokens_within_limit` in expectations/measures/lengths.py
out  metric "pairs.tokens_within_limit", ExpectTokensWithinLimit
"""

from typing import ClassVar

from expectations.coat import Measured, PairsExpectation
from expectations.measures.lengths import tokens_within_limit


class TokensWithinLimit(Measured):
    metric_name = "pairs.tokens_within_limit"
    value_keys = ("max_length",)
    measure = staticmethod(tokens_within_limit)


class ExpectTokensWithinLimit(PairsExpectation):
    """No pair has to be cut to fit into the model's window."""

    check: ClassVar[str] = "tokens_within_limit"
    metric_dependencies: ClassVar[tuple[str, ...]] = ("pairs.tokens_within_limit",)
    success_keys: ClassVar[tuple[str, ...]] = ("max_length",)

    max_length: int
