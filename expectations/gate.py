"""The last word on a data set: every check asked for, answered, written to a page, judged.

in   frame of pairs (expectations/measures/pairs.py), the list of `Asked` of a suite, a folder
out  Verdict, and below the folder a static Data Docs site
     https://docs.greatexpectations.io/docs/core/configure_project_settings/configure_data_docs/

Great Expectations says "success" about whatever it evaluated, were it nothing at all: a stored
suite drops, without a word, an expectation whose class is not imported. So the verdict counts by
name: passed means that each check asked for was evaluated and that none of them crashed.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read once, by the import below

import great_expectations as gx
from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.data_context.types.base import ProgressBarsConfig

from expectations.answers_not_empty import ExpectAnswersNotEmpty
from expectations.chosen_to_differ_from_rejected import ExpectChosenToDifferFromRejected
from expectations.coat import PairsExpectation
from expectations.identity_slots_to_explain_every_difference import (
    ExpectIdentitySlotsToExplainEveryDifference,
)
from expectations.measures.finding import Finding
from expectations.measures.suite import Asked
from expectations.no_near_perfect_feature import ExpectNoNearPerfectFeature
from expectations.no_one_sided_feature import ExpectNoOneSidedFeature
from expectations.no_placeholder_left import ExpectNoPlaceholderLeft
from expectations.no_prompt_in_two_splits import ExpectNoPromptInTwoSplits
from expectations.roles_to_alternate import ExpectRolesToAlternate
from expectations.tokens_within_limit import ExpectTokensWithinLimit

EXPECTATIONS: dict[str, type[PairsExpectation]] = {
    expectation.check: expectation
    for expectation in (
        ExpectRolesToAlternate,
        ExpectAnswersNotEmpty,
        ExpectChosenToDifferFromRejected,
        ExpectNoPromptInTwoSplits,
        ExpectNoPlaceholderLeft,
        ExpectTokensWithinLimit,
        ExpectIdentitySlotsToExplainEveryDifference,
        ExpectNoOneSidedFeature,
        ExpectNoNearPerfectFeature,
    )
}
CHECKS = {expectation.expectation_type: check for check, expectation in EXPECTATIONS.items()}
NAME = "pairs"


@dataclass(frozen=True)
class Verdict:
    passed: bool
    evaluated: tuple[str, ...]  # names of the checks that gave a finding
    asked: tuple[str, ...]
    findings: tuple[Finding, ...]
    errors: tuple[str, ...]  # what went wrong with the checks, as opposed to the data
    docs: Path  # index.html of the Data Docs site; a browser without a network shows it empty
    page: Path  # its page about this run, which reads well without one


def validate(frame: pl.DataFrame, asked: Sequence[Asked], docs_dir: Path) -> Verdict:
    """Ask everything, write the page, judge."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    for site in list(context.list_data_docs_sites()):
        context.delete_data_docs_site(site)  # the default one writes into a temporary folder
    context.add_data_docs_site(NAME, _site(docs_dir))
    # Arrow columns: nested messages survive unchanged, and no copy is made either way.
    pandas = frame.to_pandas(use_pyarrow_extension_array=True)
    batch = (
        context.data_sources.add_pandas(NAME)
        .add_dataframe_asset(NAME)
        .add_batch_definition_whole_dataframe(NAME)
    )
    suite = context.suites.add(gx.ExpectationSuite(name=NAME, expectations=_coats(asked)))
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name=NAME, data=batch, suite=suite)
    )
    # SUMMARY: COMPLETE would carry every failing row into the page.
    result = definition.run(
        batch_parameters={"dataframe": pandas},
        result_format="SUMMARY",
        run_id=gx.RunIdentifier(run_name=NAME),
    )
    index = Path(context.build_data_docs(site_names=[NAME])[NAME].removeprefix("file://"))
    page = max((index.parent / "validations").rglob("*.html"))  # folders are named by time
    return judge(asked, result, docs=index, page=page)


def judge(
    asked: Sequence[Asked], result: ExpectationSuiteValidationResult, *, docs: Path, page: Path
) -> Verdict:
    """What a result is worth, given what was asked."""
    findings: list[Finding] = []
    errors: list[str] = []
    for evaluated in result.results:
        details = evaluated.result.get("details")
        if details is None:
            errors.append(f"{_name(evaluated)}: the check crashed: {_crash(evaluated)}")
        else:
            findings.append(Finding.from_dict(details))
    names = tuple(ask.name for ask in asked)
    answered = tuple(finding.check for finding in findings)
    crashed = {_name(evaluated) for evaluated in result.results} - set(answered)
    for name in names:
        if name not in answered and name not in crashed:
            errors.append(
                f"{name}: asked for, but Great Expectations did not evaluate it. A stored suite "
                "drops what it cannot import: build the suite with expectations.gate.validate."
            )
    if not names:
        errors.append("no check was asked for, so nothing is known about this data set.")
    broken = [f for f in findings if not f.passed and f.severity == "critical"]
    return Verdict(
        passed=not errors and not broken,
        evaluated=answered,
        asked=names,
        findings=tuple(findings),
        errors=tuple(errors),
        docs=docs,
        page=page,
    )


def _coats(asked: Sequence[Asked]) -> list[PairsExpectation]:
    if unknown := sorted({ask.name for ask in asked} - set(EXPECTATIONS)):
        raise ValueError(
            f"{unknown}: no expectation answers these checks; there are {sorted(EXPECTATIONS)}. "
            "Add a class and name it in expectations/gate.py."
        )
    return [EXPECTATIONS[ask.name](**ask.parameters) for ask in asked]


def _site(docs_dir: Path) -> Any:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(docs_dir.resolve()),
        },
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }


def _name(evaluated: ExpectationValidationResult) -> str:
    kind = evaluated.expectation_config.type if evaluated.expectation_config else "unknown"
    return CHECKS.get(kind, kind)


def _crash(evaluated: ExpectationValidationResult) -> str:
    """exception_info is one exception, or one for each metric that raised."""
    info = evaluated.exception_info or {}
    each = [info] if "raised_exception" in info else list(info.values())
    return "; ".join(str(one["exception_message"]) for one in each) or "no reason given"
