"""Every blank of a template was filled.

in   a batch of pairs; the measure is `no_placeholder_left` in expectations/measures/placeholders.py
out  metric "pairs.no_placeholder_left", ExpectNoPlaceholderLeft
"""

from typing import ClassVar

from expectations.coat import Measured, PairsExpectation
from expectations.measures.placeholders import no_placeholder_left


class NoPlaceholderLeft(Measured):
    metric_name = "pairs.no_placeholder_left"
    measure = staticmethod(no_placeholder_left)


class ExpectNoPlaceholderLeft(PairsExpectation):
    """Every blank of a template was filled."""

    check: ClassVar[str] = "no_placeholder_left"
    metric_dependencies: ClassVar[tuple[str, ...]] = ("pairs.no_placeholder_left",)
