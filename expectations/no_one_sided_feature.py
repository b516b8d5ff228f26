"""No marker gives away which answer is the chosen one.

in   a batch of pairs
out  ExpectNoOneSidedFeature, which asks expectations/measures/shortcuts.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.shortcuts import OneSided


class ExpectNoOneSidedFeature(PairsExpectation):
    """No marker gives away which answer is the chosen one."""

    measure: ClassVar = OneSided
