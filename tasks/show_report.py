"""A report as a person meets it on a run page; a failed gate or a crashed check stops the run."""

from pathlib import Path

from tasks.core import report
from tasks.core.errors import InputError, Refused
from tasks.core.report import read_findings
from tasks.staged import log
from tasks.story import embedded, markdown


def show_report(stage: str, folder: Path, refuse: bool = True) -> None:
    """The report as an artifact; raises if a check crashed, or, with `refuse`, a gate failed."""
    findings, crashed = read_findings(folder)
    page = folder / "report.md"
    text = page.read_text(encoding="utf-8").removeprefix("# Data check\n")
    docs = (folder / "data_docs" / "index.html").resolve().as_uri()
    picture = (
        f"{embedded(folder / report.PICTURE)}\n\nData Docs (a browser opens no file from a page "
        f"of a server: copy this into its address bar, on the machine of the run): `{docs}`"
    )
    kept = [line if not line.startswith("![") else picture for line in text.splitlines()]
    verdict = next(line for line in kept if line.startswith("**")).replace("**", "")
    markdown("data-check", "What the checks found", "\n".join(kept), verdict)
    places = f"Report: {page} Data Docs: {folder / 'data_docs' / 'index.html'}"
    if crashed:
        told = "; ".join(f"{name}: {reason}" for name, reason in crashed.items())
        raise InputError(f"{stage}: a check crashed, which is no pass: {told}. {places}")
    failed = [report.sentence(one) for one in findings if one.gates]
    if failed and refuse:
        raise Refused(f"{stage}: {'; '.join(failed)} {places}")
    for one in failed:
        log(f"{stage}: would refuse: {one}")
