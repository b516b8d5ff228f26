"""No pair says the opposite of another.

in   a batch of pairs
out  ExpectNoContradiction, which asks expectations/measures/copies.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.copies import Contradictions


class ExpectNoContradiction(PairsExpectation):
    """No pair says the opposite of another."""

    measure: ClassVar = Contradictions
