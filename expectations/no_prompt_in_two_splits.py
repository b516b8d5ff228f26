"""No question of one split can be recognised in another.

in   a batch of pairs; the measure is `no_prompt_in_two_splits` in expectations/measures/splits.py
out  metric "pairs.no_prompt_in_two_splits", ExpectNoPromptInTwoSplits
"""

from typing import ClassVar

from expectations.coat import Measured, PairsExpectation
from expectations.measures.splits import no_prompt_in_two_splits


class NoPromptInTwoSplits(Measured):
    metric_name = "pairs.no_prompt_in_two_splits"
    measure = staticmethod(no_prompt_in_two_splits)


class ExpectNoPromptInTwoSplits(PairsExpectation):
    """No question of one split can be recognised in another."""

    check: ClassVar[str] = "no_prompt_in_two_splits"
    metric_dependencies: ClassVar[tuple[str, ...]] = ("pairs.no_prompt_in_two_splits",)
