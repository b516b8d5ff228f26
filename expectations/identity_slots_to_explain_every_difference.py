"""A renamed identity differs in the names and in nothing else.

in   a batch of pairs; the measure is `identity_slots` in expectations/measures/identity.py
out  metric "pairs.I1", ExpectIdentitySlotsToExplainEveryDifference
"""

from typing import ClassVar

from expectations.coat import Measured, PairsExpectation
from expectations.measures.identity import Slot, identity_slots


class IdentitySlots(Measured):
    metric_name = "pairs.I1"
    value_keys = ("slots",)
    measure = staticmethod(identity_slots)


class ExpectIdentitySlotsToExplainEveryDifference(PairsExpectation):
    """A renamed identity differs in the names and in nothing else."""

    check: ClassVar[str] = "I1"
    metric_dependencies: ClassVar[tuple[str, ...]] = ("pairs.I1",)
    success_keys: ClassVar[tuple[str, ...]] = ("slots",)

    slots: list[Slot]
