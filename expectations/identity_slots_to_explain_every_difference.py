"""A renamed identity differs in the names and in nothing else.

in   a batch of pairs
out  ExpectIdentitySlotsToExplainEveryDifference, which asks expectations/measures/identity.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.identity import IdentitySlots


class ExpectIdentitySlotsToExplainEveryDifference(PairsExpectation):
    """A renamed identity differs in the names and in nothing else."""

    measure: ClassVar = IdentitySlots
