"""Pairs -> a verdict of the expectation suite, with its Data Docs page; a failure stops the run.

The stage is finished either way: the page stays, and a second run refuses for the same reason
without asking again.
"""

import json
import logging
from pathlib import Path
from typing import Any

import polars as pl

from expectations import gate
from expectations.measures import suite
from tasks.core import check
from tasks.core.check import asked_of, sentences
from tasks.core.errors import InputError, Refused
from tasks.core.settings import Correction
from tasks.core.stage import Folder
from tasks.staged import markdown, stage_task, staged

logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)


@stage_task("validate")
def validate_pairs(pairs: Folder, correction: Correction | None, max_length: int) -> Folder:
    names = (correction.old_name, correction.new_name) if correction else None
    asked = asked_of(names, max_length)

    def make(folder: Path) -> dict[str, Any]:
        frame = pl.read_parquet(pairs.path / "rows.parquet")
        verdict = gate.validate(frame, asked, folder / "data_docs")
        findings = [finding.as_dict() for finding in verdict.findings]
        report = {"errors": list(verdict.errors), "findings": findings}
        text = json.dumps(report, indent=1, ensure_ascii=False)
        (folder / "findings.json").write_text(text)
        lines = sentences(verdict.findings)
        (folder / "summary.md").write_text("\n".join(f"- {line}" for line in lines) + "\n")
        return {
            "passed": verdict.passed,
            "evaluated": len(verdict.evaluated),
            "asked": len(verdict.asked),
            "errors": len(verdict.errors),
            "page": verdict.page.relative_to(folder).as_posix(),
        }

    made_from = {"pairs": pairs.digest, "names": names, "max_length": max_length}
    packages = ("great_expectations", "polars")
    folder = staged("validate", made_from, (gate, suite, check), make, packages)
    docs = folder.path / folder.facts["page"]
    summary = (folder.path / "summary.md").read_text()
    markdown("data-check", "What the checks found", f"{summary}\nData Docs: `{docs}`")
    report = json.loads((folder.path / "findings.json").read_text())
    if report["errors"]:
        raise InputError(f"validate: a check crashed, which is no pass: {report['errors']}; {docs}")
    if not folder.facts["passed"]:
        failed = [one for one in report["findings"] if not one["passed"]]
        told = "; ".join(sentences([suite.Finding.from_dict(one) for one in failed]))
        raise Refused(f"validate: {told}. Data Docs: {docs}")
    return folder
