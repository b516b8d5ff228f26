"""The data set check on the command line: read -> measures, without Prefect.

out  the findings on standard output; 0 clean, 1 a gate failed, 2 a check crashed
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from expectations.measures.finding import Finding
from expectations.measures.pairs import Pairs
from expectations.measures.suite import answer
from tasks.core import check_text
from tasks.core.check_files import Read, Told, read
from tasks.core.errors import InputError
from tasks.core.progress import progress


def check_pairs(names: Sequence[str], told: Told, form: str, report: Path | None) -> int:
    """Exit code. With `report` the same checks go through Great Expectations, which writes it."""
    try:
        asked = read(names, told)
    except InputError as error:
        if form != "text":
            print(_unreadable(form, str(error)))
        raise
    if report is None:
        with progress("checks", len(asked.asked), "check") as advance:
            findings, crashed = answer(Pairs(asked.frame), asked.asked, lambda: advance(1))
    else:
        findings, crashed = _reported(asked, report)
    print(_told(form, asked, findings, crashed))
    return check_text.verdict(findings, crashed)[0]


def _unreadable(form: str, reason: str) -> str:
    if form == "junit":
        from tasks.core.report import junit

        return junit([], {"unreadable": reason})
    return check_text.unreadable(form, reason)


def _told(form: str, asked: Read, findings: list[Finding], crashed: dict[str, str]) -> str:
    if form == "json":
        return check_text.as_json(asked, findings, crashed)
    if form == "github":
        return "\n".join(check_text.github(asked, findings, crashed))
    if form == "junit":
        from tasks.core.report import junit

        return junit(findings, crashed)
    return "\n".join(check_text.text(asked, findings, crashed))


def _reported(asked: Read, folder: Path) -> tuple[list[Finding], dict[str, str]]:
    from tasks.reporting import report_of  # Great Expectations takes seconds to import

    try:
        folder.mkdir(parents=True, exist_ok=True)
        verdict = report_of(asked, folder)
    except OSError as error:
        place = error.filename or folder
        raise InputError(f"--report {place}: cannot be written ({error.strerror}).") from error
    print(f"report: {folder / 'report.md'}", file=sys.stderr)
    return list(verdict.findings), verdict.crashed
