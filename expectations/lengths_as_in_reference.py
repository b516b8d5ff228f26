"""Longer answers are chosen as often as in the set that it is compared with.

in   a batch of pairs
out  ExpectLengthsAsInReference, which asks expectations/measures/length_bias.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.length_bias import LengthDrift


class ExpectLengthsAsInReference(PairsExpectation):
    """Longer answers are chosen as often as in the set that it is compared with."""

    measure: ClassVar = LengthDrift
