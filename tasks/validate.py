"""Pairs -> a verdict of the expectation suite, with its report; a failure stops the run.

The stage is finished either way: the report stays, and a second run refuses for the same reason
without asking again.
"""

from pathlib import Path
from typing import Any

import polars as pl

from expectations.measures import suite
from tasks.core import report
from tasks.core.models import ModelRef, load_tokenizer
from tasks.core.render import injected_system
from tasks.core.report import Checked
from tasks.core.settings import Recipe, slots_of
from tasks.core.stage import Folder
from tasks.show_report import show_report
from tasks.staged import stage_task, staged

# What no pair can show any more: the rows that would fail were set aside on the way.
ANSWERED_BY_ACCOUNT: dict[str, None] = {"rows_become_pairs": None, "same_prompt": None}
PACKAGES = ("great_expectations", "polars", "matplotlib")


@stage_task("validate")
def validate_pairs(
    raw: Folder, account: Folder, pairs: Folder, base: ModelRef, recipe: Recipe
) -> Folder:
    """`account`: what became of every source row. A rehearsal reports and refuses nothing."""
    slots, checks = slots_of(recipe.curation), recipe.checks
    profile = checks.profile or suite.profile_of(bool(slots), pairs.facts["form"] == "hh")
    asked = suite.suite(
        profile,
        ANSWERED_BY_ACCOUNT | checks.change,
        slots=slots,
        max_length=recipe.reading.max_length,
        template_adds=injected_system(load_tokenizer(base)) or "",
    )
    about = Checked(
        source=raw.facts["source"],
        read_as=raw.facts["read_as"],
        profile=profile,
        rows=account.facts["read"],
        set_aside=account.facts["reasons"],
    )

    def make(folder: Path) -> dict[str, Any]:
        from tasks import reporting  # Great Expectations: seconds, which a finished stage saves

        frame = pl.read_parquet(pairs.path / "rows.parquet")
        verdict = reporting.write_report(folder, frame, asked, about)
        return {
            "passed": verdict.passed,
            "asked": len(verdict.asked),
            "evaluated": len(verdict.findings),
        }

    made_from = {
        "pairs": pairs.digest,
        "about": vars(about),
        "asked": [[one.check, one.model_dump()] for one in asked],
    }
    sources = ("tasks.reporting", suite, report, "tasks.core.report_picture")
    folder = staged("validate", made_from, sources, make, PACKAGES)
    show_report("validate", folder.path, refuse=not recipe.rehearsal)
    return folder
