"""The last word on a data set: every check asked for, answered, written to a page, judged.

in   frame of pairs (expectations/measures/pairs.py), the measures of a suite, a folder
out  Verdict, and in the folder the Data Docs page, index.html
     https://docs.greatexpectations.io/docs/core/configure_project_settings/configure_data_docs/

Great Expectations says "success" about whatever it evaluated, were it nothing at all: a stored
suite drops, without a word, an expectation whose class is not imported. So the verdict counts by
name: passed means that each check asked for was evaluated and that none of them crashed.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read once, by the import below

import great_expectations as gx
from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.data_context.types.base import ProgressBarsConfig

from expectations.classes import EXPECTATIONS
from expectations.coat import ANSWERED, ASKED, PairsExpectation
from expectations.measures.finding import Finding
from expectations.measures.measure import Measure
from expectations.measures.telling import counts
from expectations.page import html

CHECKS = {expectation.expectation_type: check for check, expectation in EXPECTATIONS.items()}
NAME = "pairs"
PAGE = "index.html"


@dataclass(frozen=True)
class Verdict:
    asked: tuple[str, ...]  # names of the checks
    findings: tuple[Finding, ...]  # of those that answered
    crashed: dict[str, str]  # check -> what went wrong with it, as opposed to the data

    @property
    def passed(self) -> bool:
        return not self.crashed and not any(finding.gates for finding in self.findings)


def validate(
    frame: pl.DataFrame | pl.LazyFrame,
    asked: Sequence[Measure],
    docs_dir: Path,
    answered: Callable[[], None] = lambda: None,
) -> Verdict:
    """Ask everything, write the page, judge. The whole frame is in memory while it is asked.

    `answered` is called after each check.
    """
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    # Arrow columns: nested messages survive unchanged, and no copy is made either way.
    pandas = frame.lazy().collect().to_pandas(use_pyarrow_extension_array=True)
    batch = (
        context.data_sources.add_pandas(NAME)
        .add_dataframe_asset(NAME)
        .add_batch_definition_whole_dataframe(NAME)
    )
    suite = context.suites.add(gx.ExpectationSuite(name=NAME, expectations=coats(asked)))
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name=NAME, data=batch, suite=suite)
    )
    known, told = ASKED.set(asked), ANSWERED.set(answered)
    try:
        # SUMMARY: COMPLETE would carry every failing row into the page.
        result = definition.run(batch_parameters={"dataframe": pandas}, result_format="SUMMARY")
    finally:
        ASKED.reset(known)
        ANSWERED.reset(told)
    verdict = judge(asked, result)
    docs_dir.mkdir(parents=True, exist_ok=True)
    (docs_dir / PAGE).write_text(
        html(result, f"{counts(verdict.findings, verdict.crashed)}."), encoding="utf-8"
    )
    return verdict


def judge(asked: Sequence[Measure], result: ExpectationSuiteValidationResult) -> Verdict:
    """What a result is worth, given what was asked."""
    findings: dict[str, Finding] = {}
    crashed: dict[str, str] = {}
    for evaluated in result.results:
        details = evaluated.result.get("details")
        if details is None:
            crashed[_name(evaluated)] = _crash(evaluated)
        else:
            findings[details["check"]] = Finding.from_dict(details)
    names = tuple(measure.check for measure in asked)
    for name in names:
        if name not in findings and name not in crashed:
            crashed[name] = (
                "asked for, but Great Expectations did not evaluate it. A stored suite drops what "
                "it cannot import: build the suite with expectations.gate.validate."
            )
    if not names:
        crashed[NAME] = "no check was asked for, so nothing is known about this data set."
    order = {name: number for number, name in enumerate(names)}
    return Verdict(
        asked=names,
        findings=tuple(sorted(findings.values(), key=lambda one: order.get(one.check, len(order)))),
        crashed=crashed,
    )


def coats(asked: Sequence[Measure]) -> list[PairsExpectation]:
    """The expectations that ask what these measures ask."""
    if unknown := sorted({measure.check for measure in asked} - set(EXPECTATIONS)):
        raise ValueError(
            f"{unknown}: no expectation answers these checks; there are {sorted(EXPECTATIONS)}. "
            "Add a class and name it in expectations/classes.py."
        )
    return [EXPECTATIONS[measure.check](**measure.model_dump()) for measure in asked]


def _name(evaluated: ExpectationValidationResult) -> str:
    kind = evaluated.expectation_config.type if evaluated.expectation_config else "unknown"
    return CHECKS.get(kind, kind)


def _crash(evaluated: ExpectationValidationResult) -> str:
    """exception_info is one exception, or one for each metric that raised."""
    info = evaluated.exception_info or {}
    each = [info] if "raised_exception" in info else list(info.values())
    return "; ".join(str(one["exception_message"]) for one in each) or "no reason given"
