"""The data set check on the command line: read -> measures, without Prefect.

out  the findings on standard output, and in the files that were asked for; 0 clean, 1 a gate
     failed, 2 a check crashed
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from expectations.measures.finding import Finding
from expectations.measures.pairs import Pairs
from expectations.measures.suite import answer
from tasks.core import check_text
from tasks.core.check_files import Read, Told, read
from tasks.core.errors import InputError
from tasks.core.progress import progress

Files = Mapping[str, Path]  # "junit", "summary" -> where it goes


def check_pairs(
    names: Sequence[str], told: Told, form: str, report: Path | None, files: Files
) -> int:
    """Exit code. With `report` the same checks go through Great Expectations, which writes it."""
    for kind, file in files.items():
        _write(kind, file, "")  # before the work: a folder may be closed to us
    try:
        asked = read(names, told)
    except InputError as error:
        if form != "text":
            print(_unreadable(form, str(error)))
        for kind, file in files.items():
            _write(kind, file, _unreadable(kind, str(error)))
        if form == "github":  # the log takes commands from standard error, too
            raise InputError(check_text.no_command(str(error))) from error
        raise
    if report is None:
        with progress("checks", len(asked.asked), "check") as advance:
            findings, crashed = answer(Pairs(asked.frame), asked.asked, lambda: advance(1))
    else:
        findings, crashed = _reported(asked, report)
    print(_told(form, asked, findings, crashed))
    for kind, file in files.items():
        _write(kind, file, _told(kind, asked, findings, crashed))
    return check_text.verdict(findings, crashed)[0]


def _write(kind: str, file: Path, content: str) -> None:
    """A job's page is one file to which every step adds."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a" if kind == "summary" else "w", encoding="utf-8") as stream:
            stream.write(content)
    except OSError as error:
        raise InputError(f"--{kind} {file}: cannot be written ({error.strerror}).") from error


def _unreadable(form: str, reason: str) -> str:
    if form == "junit":
        from tasks.core.report import junit

        return junit([], {"unreadable": reason})
    if form == "summary":
        from tasks.core import check_summary

        return check_summary.unreadable(reason)
    return check_text.unreadable(form, reason)


def _told(form: str, asked: Read, findings: list[Finding], crashed: dict[str, str]) -> str:
    if form == "json":
        return check_text.as_json(asked, findings, crashed)
    if form == "github":
        return "\n".join(check_text.github(asked, findings, crashed))
    if form == "junit":
        from tasks.core.report import junit

        return junit(findings, crashed)
    if form == "summary":
        from tasks.core.check_summary import summary

        return summary(asked, findings, crashed)
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
