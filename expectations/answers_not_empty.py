"""Both answers of every pair say something.

in   a batch of pairs; the measure is `answers_not_empty` in expectations/measures/answers.py
out  metric "pairs.answers_not_empty", ExpectAnswersNotEmpty
"""

from typing import ClassVar

from expectations.coat import Measured, PairsExpectation
from expectations.measures.answers import answers_not_empty


class AnswersNotEmpty(Measured):
    metric_name = "pairs.answers_not_empty"
    measure = staticmethod(answers_not_empty)


class ExpectAnswersNotEmpty(PairsExpectation):
    """Both answers of every pair say something."""

    check: ClassVar[str] = "answers_not_empty"
    metric_dependencies: ClassVar[tuple[str, ...]] = ("pairs.answers_not_empty",)
