"""Findings -> what a terminal, a CI log and another program read.

in   findings of the suite, checks that crashed, what was read
out  lines of text, GitHub workflow commands
     https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands, JSON
"""

import json
import re
import secrets
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from expectations.measures.finding import Finding
from expectations.measures.telling import SIGNS, in_order, tally, word
from tasks.core.check_files import Read, Source
from tasks.core.check_places import Place, Places, places

WIDE = 120  # columns of a line; a remedy wraps, a row is cut
ROWS = 8  # row numbers on a line
ANNOTATIONS = 10  # GitHub shows ten a step and kind

Crashed = Mapping[str, str]


def verdict(findings: Sequence[Finding], crashed: Crashed) -> tuple[int, str]:
    """(exit code, word): 2 crashed, 1 a gate failed, 0 clean."""
    if crashed or not findings:
        return 2, "CRASHED"
    return (1, "FAILED") if any(one.gates for one in findings) else (0, "passed")


def text(read: Read, findings: Sequence[Finding], crashed: Crashed) -> list[str]:
    """One line a check, failures first with their rows; fits a screen."""
    lines = [_cut(f"CRASHED {name}: {reason}") for name, reason in crashed.items()]
    named = max((len(_label(one)) for one in findings), default=0)
    for one in in_order(findings):
        lines += _check(one, named, len(read.sources) > 1)
    if read.one_sided:
        left_out = ", ".join(read.left_out)
        lines += _wrapped(
            "conversations, no pairs: left out are the checks that compare two answers: "
            f"{left_out}",
            "",
        )
    lines += _wrapped(unseen(findings), "")
    lines += [source_line(source) for source in read.sources]
    _, said = verdict(findings, crashed)
    number = len(findings) + len(crashed)
    return [*lines, f"{said}: {number} checks ({read.profile}): {tally(findings, crashed)}"]


def as_json(read: Read, findings: Sequence[Finding], crashed: Crashed) -> str:
    code, said = verdict(findings, crashed)
    content = {
        "verdict": said.lower(),
        "exit_code": code,
        "profile": read.profile,
        "sources": [
            {"split": s.split, "path": s.path, "read_as": s.read_as, "rows": s.rows}
            | ({"ties": s.ties} if s.ties else {})
            for s in read.sources
        ],
        "left_out": list(read.left_out),
        "crashed": dict(crashed),
        "checks": [one.as_dict() | {"gates": one.gates} for one in in_order(findings)],
    }
    return json.dumps(content, ensure_ascii=False, indent=1)


def github(read: Read, findings: Sequence[Finding], crashed: Crashed) -> Iterator[str]:
    """Annotations at file and line, one of each check before the second of any; then the text.

    GitHub shows ten errors and ten warnings a step.
    """
    found = places(read, findings)
    for name, reason in crashed.items():
        yield f"::error title={_property(f'{name} crashed')}::{_message(reason)}"
    for gates, kind in ((True, "error"), (False, "warning")):
        broken = [one for one in in_order(findings) if not one.passed and one.gates is gates]
        notes = [(rank, note) for one in broken for rank, note in enumerate(_notes(one, found))]
        for _, note in sorted(notes, key=lambda ranked: ranked[0])[:ANNOTATIONS]:
            yield f"::{kind} {note}"
        if len(notes) > ANNOTATIONS:
            more = f"{ANNOTATIONS} {kind}s are shown, GitHub takes no more; the log names more"
            yield f"::notice title=pairpress check::{more}"
    ours = secrets.token_hex(16)
    yield f"::stop-commands::{ours}"  # the text quotes rows, which might hold commands
    yield from text(read, findings, crashed)
    yield f"::{ours}::"


def unreadable(form: str, reason: str) -> str:
    """A file that cannot be read, in the words of a machine format."""
    if form == "json":
        return json.dumps({"verdict": "unreadable", "exit_code": 2, "error": reason}, indent=1)
    place = re.match(r"(?P<file>[^\n]+?):(?P<line>\d+): ", reason)
    where = f"file={_property(place['file'])},line={place['line']}," if place else ""
    return f"::error {where}title=unreadable::{_message(reason)}"


def no_command(words: str) -> str:
    """One line in which a runner finds none: it obeys `::` at its begin, `##[` anywhere in it."""
    return words.translate(SIGNS).replace("##[", "## [")


def _check(one: Finding, named: int, several: bool) -> list[str]:
    line = f"{word(one):7} {_label(one):{named}}  {one.number}"
    if not one.gates:
        lines = [_cut(f"{line} (allowed: {one.threshold})")]
        return lines if one.passed else lines + _first(one, several)
    examples = [f"    {_where(example, several)}: {_why(example)}" for example in one.examples]
    rows = _wrapped(told) if (told := _rows(one, several)) else []
    lines = [_cut(line), *_wrapped(f"allowed: {one.threshold}"), *map(_cut, examples), *rows]
    return lines + _wrapped(f"what to do: {one.remedy}")


def _label(one: Finding) -> str:
    """ "S1 one-sided feature"; a check that is called by words needs no title."""
    return f"{one.check} {one.title}" if len(one.check) == 2 else one.check


def _first(one: Finding, several: bool) -> list[str]:
    """A warning's rows in one line, with the reason of the first."""
    if not one.examples:
        return []
    first = one.examples[0]
    more = f"; {rows}" if (rows := _rows(one, several)) else ""
    return [_cut(f"    {_where(first, several)}: {_why(first)}{more}")]


def _why(example: Mapping[str, int | str]) -> str:
    return " ".join(str(example["why"]).split())


def unseen(findings: Sequence[Finding]) -> str:
    """What a pass does not say; nothing where S1 was not asked."""
    shares = [one.observed["smallest_detectable_share"] for one in findings if one.check == "S1"]
    if not shares:
        return ""
    share = float(shares[0])
    least = "any marker" if share > 1 else f"a marker in under {100 * share:.2g} % of the prompts"
    return (
        f"cannot be seen here: {least}, labels flipped at random, a habit in 40 % of one side and "
        "20 % of the other"
    )


def _where(example: Mapping[str, int | str], several: bool) -> str:
    return f"{example['split']} row {example['row']}" if several else f"row {example['row']}"


def _rows(one: Finding, several: bool) -> str:
    """Row numbers beyond those of the examples."""
    if sum(len(rows) for rows in one.rows.values()) <= len(one.examples):
        return ""
    parts = []
    for split, rows in one.rows.items():
        first = ", ".join(str(row) for row in rows[:ROWS]) + (", ..." if len(rows) > ROWS else "")
        parts.append(f"{split} rows {first}" if several else f"rows {first}")
    return "; ".join(parts)


def source_line(source: Source) -> str:
    """What one source held, as "train.jsonl: 300 rows read as prompt/chosen/rejected"."""
    against = "" if source.judged else ", for overlap only"
    unread = f", {source.faulty:,} of them unusable" if source.faulty and not source.judged else ""
    read_as = f"{source.rows:,} rows read as {source.read_as}"
    ties = f", and ties, no pairs: {source.ties:,}" if source.ties else ""
    return f"{source.split.translate(SIGNS)}: {read_as}{ties}{against}{unread}"


def _notes(one: Finding, found: Places) -> Iterator[str]:
    """Properties and message of a check's annotations, the first of which says all."""
    title = f"title={_property(f'{one.check} {one.title}')}"
    whole = f"{one.promise} Found: {one.number}; allowed: {one.threshold}. {one.remedy}"
    placed = list(_placed(one, found)) or [("", "")]
    for number, (place, why) in enumerate(placed):
        message = why if number else " ".join(filter(None, [f"{why}." if why else "", whole]))
        yield f"{place}{title}::{_message(message)}"


def _placed(one: Finding, found: Places) -> Iterator[tuple[str, str]]:
    """("file=F,line=N,", why) of each row that is named and stands in a local file."""
    whys = {(example["split"], example["row"]): str(example["why"]) for example in one.examples}
    for split, rows in one.rows.items():
        for row in rows:
            if place := found.get((split, row)):
                why = whys.get((split, row), f"row {row}: {one.title} ({one.number})")
                yield _at(place), why


def _at(place: Place) -> str:
    line = f"line={place.line}," if place.line else ""
    return f"file={_property(place.file)},{line}"


def _message(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _message(value).replace(":", "%3A").replace(",", "%2C")


def _cut(line: str) -> str:
    line = line.translate(SIGNS)
    return line if len(line) <= WIDE else line[: WIDE - 3] + "..."


def _wrapped(words: str, indent: str = "    ") -> list[str]:
    return textwrap.wrap(words, WIDE, initial_indent=indent, subsequent_indent=f"{indent}  ")
