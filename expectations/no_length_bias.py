"""Longer answers are chosen about as often as shorter ones.

in   a batch of pairs
out  ExpectNoLengthBias, which asks expectations/measures/length_bias.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.length_bias import LengthLeans


class ExpectNoLengthBias(PairsExpectation):
    """Longer answers are chosen about as often as shorter ones."""

    measure: ClassVar = LengthLeans
