"""No single word or layout habit alone decides a tenth of the pairs.

in   a batch of pairs
out  ExpectNoNearPerfectFeature, which asks expectations/measures/shortcuts.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.shortcuts import NearPerfect


class ExpectNoNearPerfectFeature(PairsExpectation):
    """No single word or layout habit alone decides a tenth of the pairs."""

    measure: ClassVar = NearPerfect
