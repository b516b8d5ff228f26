"""No feature is seen mostly on one side of the pairs.

in   a batch of pairs
out  ExpectNoWeakOneSidedFeature, which asks expectations/measures/shortcuts.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.shortcuts import Weak


class ExpectNoWeakOneSidedFeature(PairsExpectation):
    """No feature is seen mostly on one side of the pairs."""

    measure: ClassVar = Weak
