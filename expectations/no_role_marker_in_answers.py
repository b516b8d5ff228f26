"""No answer goes on with the turn of somebody else.

in   a batch of pairs
out  ExpectNoRoleMarkerInAnswers, which asks expectations/measures/marks.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.marks import RoleMarkers


class ExpectNoRoleMarkerInAnswers(PairsExpectation):
    """No answer goes on with the turn of somebody else."""

    measure: ClassVar = RoleMarkers
