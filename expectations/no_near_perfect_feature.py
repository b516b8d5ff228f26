"""No single word or layout habit alone decides a tenth of the pairs.

in   a batch of pairs; the measure is `near_perfect_feature` in expectations/measures/shortcuts.py
out  metric "pairs.S2", ExpectNoNearPerfectFeature
"""

from typing import ClassVar

from expectations.coat import Measured, PairsExpectation
from expectations.measures.identity import Slot
from expectations.measures.shortcuts import near_perfect_feature


class NearPerfectFeature(Measured):
    metric_name = "pairs.S2"
    value_keys = ("slots",)
    measure = staticmethod(near_perfect_feature)


class ExpectNoNearPerfectFeature(PairsExpectation):
    """No single word or layout habit alone decides a tenth of the pairs."""

    check: ClassVar[str] = "S2"
    metric_dependencies: ClassVar[tuple[str, ...]] = ("pairs.S2",)
    success_keys: ClassVar[tuple[str, ...]] = ("slots",)

    slots: list[Slot] = []  # noqa: RUF012
