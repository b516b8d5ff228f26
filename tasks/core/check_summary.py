"""Findings -> the page of a CI job: verdict, what failed with links to its rows, the rest folded.

in   what was read, findings, checks that crashed; GITHUB_SERVER_URL, GITHUB_REPOSITORY, GITHUB_SHA
out  Markdown, https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
     texts of the data are shown in it and do nothing
"""

import html
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote

from expectations.measures.finding import Finding
from expectations.measures.telling import cells, counts, in_order, word
from tasks.core.check_files import Read
from tasks.core.check_places import Places, places
from tasks.core.check_text import source_line, unseen, verdict
from tasks.core.report import escaped, name_of

ROWS = 5  # links in a cell; the folded table below it tells of the first


def summary(read: Read, findings: Sequence[Finding], crashed: Mapping[str, str]) -> str:
    _, said = verdict(findings, crashed)
    found = places(read, findings)
    broken = [one for one in in_order(findings) if not one.passed]
    passed = [one for one in findings if one.passed]
    lines = [f"## Data check {said.lower()}", "", f"{counts(findings, crashed)} ({read.profile})."]
    lines += ["", *(f"- {escaped(source_line(source))}" for source in read.sources)]
    lines += [f"- {escaped(name)} crashed: {escaped(reason)}" for name, reason in crashed.items()]
    if broken:
        rows = ([*_cells(one), _rows(one, found)] for one in broken)
        lines += ["", *_table(("", "check", "found", "allowed", "rows"), rows), ""]
    for one in broken:
        lines += _folded(f"{name_of(one)}: what to do", _told(one, found))
    if passed:
        rows = (_cells(one)[1:] for one in passed)
        lines += _folded(f"{len(passed)} passed", _table(("check", "found", "allowed"), rows))
    cannot = unseen(findings)
    return "\n".join([*lines, escaped(cannot[:1].upper() + cannot[1:]), "", ""])


def unreadable(reason: str) -> str:
    """The page of a check that had nothing to read."""
    return f"## Data check: cannot be read\n\n{escaped(reason)}\n\n"


def _cells(one: Finding) -> list[str]:
    shown = (name_of(one), one.number, one.threshold)
    said = f"**{word(one)}**" if one.gates else word(one)
    return [said, *map(escaped, shown)]


def _told(one: Finding, found: Places) -> list[str]:
    lines = [escaped(one.promise), "", escaped(one.remedy), ""]
    if one.examples:
        rows = []
        for example in one.examples:
            _, *texts = cells(example)
            link = _link(str(example["split"]), int(example["row"]), found)
            rows.append([link, *map(escaped, texts)])
        lines += _table(("row", "why", "end of the prompt", "chosen", "rejected"), rows)
    return lines


def _rows(one: Finding, found: Places) -> str:
    several = len(one.rows) > 1
    parts = []
    for split, rows in one.rows.items():
        links = ", ".join(_link(split, row, found) for row in rows[:ROWS])
        more = ", ..." if len(rows) > ROWS else ""
        parts.append((f"{escaped(split)}: " if several else "") + links + more)
    return "; ".join(parts)


def _link(split: str, row: int, found: Places) -> str:
    """The row's number, as a link to its line where the job's repository holds the file."""
    place = found.get((split, row))
    server, repository, commit = (
        os.environ.get(name) for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_SHA")
    )
    if not (place and place.tracked and server and repository and commit):
        return str(row)
    line = f"#L{place.line}" if place.line else ""
    return f"[{row}]({server}/{repository}/blob/{commit}/{quote(place.file)}{line})"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *rows)]


def _folded(title: str, inside: Sequence[str]) -> Iterator[str]:
    yield from ("<details>", f"<summary>{html.escape(title)}</summary>", "", *inside)
    yield from ("", "</details>", "")
