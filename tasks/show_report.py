"""A report as a person meets it on a run page; a failed gate or a crashed check stops the run."""

from pathlib import Path

from tasks.core import report
from tasks.core.errors import InputError, Refused
from tasks.core.report import read_findings
from tasks.staged import log, markdown


def show_report(stage: str, folder: Path, refuse: bool = True) -> None:
    """The report as an artifact; raises if a check crashed, or, with `refuse`, a gate failed."""
    findings, crashed = read_findings(folder)
    page = folder / "report.md"
    text = page.read_text(encoding="utf-8").removeprefix("# Data check\n")
    picture = f"Picture, Data Docs and JUnit: `{folder}`"
    kept = [line if not line.startswith("![") else picture for line in text.splitlines()]
    markdown("data-check", "What the checks found", "\n".join(kept))
    places = f"Report: {page} Data Docs: {folder / 'data_docs' / 'index.html'}"
    if crashed:
        told = "; ".join(f"{name}: {reason}" for name, reason in crashed.items())
        raise InputError(f"{stage}: a check crashed, which is no pass: {told}. {places}")
    failed = [report.sentence(one) for one in findings if one.gates]
    if failed and refuse:
        raise Refused(f"{stage}: {'; '.join(failed)} {places}")
    for one in failed:
        log(f"{stage}: would refuse: {one}")
