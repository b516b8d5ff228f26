"""The length of the answers does not decide which one is chosen.

in   a batch of pairs
out  ExpectLengthNotToDecide, which asks expectations/measures/length_bias.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.length_bias import LengthDecides


class ExpectLengthNotToDecide(PairsExpectation):
    """The length of the answers does not decide which one is chosen."""

    measure: ClassVar = LengthDecides
