"""Every blank of a template was filled.

in   a batch of pairs
out  ExpectNoPlaceholderLeft, which asks expectations/measures/placeholders.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.placeholders import Placeholders


class ExpectNoPlaceholderLeft(PairsExpectation):
    """Every blank of a template was filled."""

    measure: ClassVar = Placeholders
