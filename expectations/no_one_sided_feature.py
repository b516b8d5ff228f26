"""No marker gives away which answer is the chosen one.

in   a batch of pairs; the measure is `one_sided_feature` in expectations/measures/shortcuts.py
out  metric "pairs.S1", ExpectNoOneSidedFeature
"""

from typing import ClassVar

from expectations.coat import Measured, PairsExpectation
from expectations.measures.identity import Slot
from expectations.measures.shortcuts import one_sided_feature


class OneSidedFeature(Measured):
    metric_name = "pairs.S1"
    value_keys = ("slots",)
    measure = staticmethod(one_sided_feature)


class ExpectNoOneSidedFeature(PairsExpectation):
    """No marker gives away which answer is the chosen one."""

    check: ClassVar[str] = "S1"
    metric_dependencies: ClassVar[tuple[str, ...]] = ("pairs.S1",)
    success_keys: ClassVar[tuple[str, ...]] = ("slots",)

    slots: list[Slot] = []  # noqa: RUF012
