"""What the checks found, as files that a person, a CI server and a data set card show.

in   findings of the suite, checks that crashed (check -> how), what was checked
out  report.md, findings.json, junit.xml (https://llg.cubic.org/docs/junit/) and report.png; the
     same findings are the same bytes, since a report is published
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from expectations.measures.finding import Finding
from expectations.measures.telling import cells, counts, in_order, shown, visible, word

PICTURE = "report.png"
FILES = ("report.md", PICTURE, "findings.json", "junit.xml", "data_docs/index.html")
ROWS = 20  # row numbers written out; findings.json holds more
SPECIAL = re.compile(r"([\\`*_\[\]<>|~$])")
CANNOT_SEE = (
    "Labels that were flipped: the texts alone hardly tell (area under the curve .59).",
    "A marker whose pairs were then flipped in one case of five, and a difference of style that "
    "is in 40 % of the answers on one side and in 20 % on the other.",
    "Prompts of the test split in other words, or in another language.",
)


@dataclass(frozen=True)
class Checked:
    """What a report is about."""

    source: str  # as a person named it
    read_as: str  # the form in which it was read
    profile: str
    rows: int
    set_aside: Mapping[str, int] = field(default_factory=dict)  # reason -> rows
    left_out: tuple[str, ...] = ()  # checks that compare two sides, where there is only one


def set_aside(findings: Sequence[Finding]) -> dict[str, int]:
    """Reason -> rows that became no pair, as the check of them counted."""
    return dict(_details(findings, "rows_become_pairs").get("reasons", {}))


def write(
    folder: Path, about: Checked, findings: Sequence[Finding], crashed: Mapping[str, str]
) -> None:
    """All files but the Data Docs page, which the gate writes."""
    from tasks.core.report_picture import draw

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "findings.json").write_text(as_json(about, findings, crashed), encoding="utf-8")
    (folder / "junit.xml").write_text(junit(findings, crashed), encoding="utf-8")
    histogram = _details(findings, "L1").get("histogram")
    features = _details(findings, "S1").get("features", [])
    draw(folder / PICTURE, histogram, features, about.set_aside)
    text = markdown(about, findings, crashed)
    (folder / "report.md").write_text(text, encoding="utf-8")


def read_findings(folder: Path) -> tuple[list[Finding], dict[str, str]]:
    """(findings, crashed) of a report that was written."""
    content = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    names = list(Finding.__dataclass_fields__)
    findings = [
        Finding.from_dict({name: one[name] for name in names}) for one in content["findings"]
    ]
    return findings, content["crashed"]


def as_json(about: Checked, findings: Sequence[Finding], crashed: Mapping[str, str]) -> str:
    content = {
        "source": about.source,
        "read_as": about.read_as,
        "profile": about.profile,
        "rows": about.rows,
        "set_aside": dict(about.set_aside),
        "left_out": list(about.left_out),
        "crashed": dict(crashed),
        "findings": [one.as_dict() | {"gates": one.gates} for one in in_order(findings)],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def markdown(about: Checked, findings: Sequence[Finding], crashed: Mapping[str, str]) -> str:
    """Failures first with their rows and what to do, then warnings, then what passed."""
    ordered = in_order(findings)
    failed = [one for one in ordered if one.gates]
    warnings = [one for one in ordered if not one.passed and not one.gates]
    verdict = "Crashed" if crashed or not findings else "Failed" if failed else "Passed"
    aside = sum(about.set_aside.values())
    lines = [
        "# Data check",
        "",
        f"**{verdict}.** {counts(findings, crashed)}.",
        "",
        f"- Source: {escaped(about.source)}",
        f"- {about.rows:,} rows, read as {escaped(about.read_as)}; {aside:,} set aside",
        f"- Profile: {about.profile}",
        "",
        "![Length ratios, one-sided features, rows set aside](report.png)",
        "",
    ]
    if crashed:
        lines += ["## Crashed", "", "These checks say nothing about the data.", ""]
        lines += [f"- {escaped(name)}: {escaped(reason)}" for name, reason in crashed.items()] + [
            ""
        ]
    for title, some in (("Failed", failed), ("Warnings", warnings)):
        if some:
            lines += [f"## {title}", ""]
            lines += [line for one in some for line in _section(one)]
    passed = [one for one in ordered if one.passed]
    if passed:
        lines += ["## Passed", "", *_table(("check", "found", "allowed"), map(_passed, passed)), ""]
    if about.left_out:
        said = "Conversations hold no second answer, so the checks that compare two are left out"
        lines += ["## Left out", "", f"{said}: {escaped(', '.join(about.left_out))}.", ""]
    lines += ["## What these checks cannot see", ""]
    cannot_see = CANNOT_SEE[-1:] if about.left_out else (*_smallest(findings), *CANNOT_SEE)
    return "\n".join(lines + [f"- {one}" for one in cannot_see]) + "\n"


def junit(findings: Sequence[Finding], crashed: Mapping[str, str]) -> str:
    """One test case a check: a gate that failed is a failure, a crash an error."""
    failures, errors = (str(n) for n in (sum(one.gates for one in findings), len(crashed)))
    tests = str(len(findings) + len(crashed))
    root = ET.Element("testsuites", tests=tests, failures=failures, errors=errors)
    suite = ET.SubElement(
        root, "testsuite", name="pairpress check", tests=tests, failures=failures, errors=errors
    )
    for name, reason in crashed.items():
        case = ET.SubElement(suite, "testcase", classname="pairpress", name=name)
        ET.SubElement(case, "error", message=visible(reason), type="crashed")
    for one in in_order(findings):
        name = f"{one.check} {one.title}"
        case = ET.SubElement(suite, "testcase", classname="pairpress", name=name)
        message = visible(f"{one.number}; allowed: {one.threshold}")
        if one.gates:
            failure = ET.SubElement(case, "failure", message=message, type=one.severity)
            failure.text = "\n".join(map(visible, _told(one)))
        else:
            lines = [f"{word(one)}: {message}", *([] if one.passed else _told(one))]
            ET.SubElement(case, "system-out").text = "\n".join(map(visible, lines))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def sentence(one: Finding) -> str:
    """All that a failed check says, in a line."""
    return f"{word(one)} {name_of(one)}: {one.number}, allowed {one.threshold}. " + " ".join(
        f"{line.rstrip('.')}." for line in map(visible, _told(one))
    )


def _told(one: Finding) -> list[str]:
    """What a failed check says where there is no room for a table."""
    lines = [one.promise, *(f"{e['split']} row {e['row']}: {e['why']}" for e in one.examples)]
    return [*lines, *([f"Rows: {_rows(one)}"] if one.rows else []), f"What to do: {one.remedy}"]


def _section(one: Finding) -> list[str]:
    numbers = ", ".join(f"{k.replace('_', ' ')} {shown(v)}" for k, v in one.observed.items())
    lines = [
        f"### {escaped(name_of(one))}: {escaped(one.number)}",
        "",
        escaped(one.promise),
        "",
        f"- Allowed: {escaped(one.threshold)}",
        f"- Found: {escaped(numbers)}",
        *([f"- Rows: {escaped(_rows(one))}"] if one.rows else []),
        f"- What to do: {escaped(one.remedy)}",
        "",
    ]
    if one.examples:
        header = ("row", "why", "end of the prompt", "chosen", "rejected")
        lines += [*_table(header, map(cells, one.examples)), ""]
    return lines


def _passed(one: Finding) -> tuple[str, str, str]:
    return name_of(one), one.number, one.threshold


def name_of(one: Finding) -> str:
    """ "One-sided feature (S1)"."""
    return f"{one.title[0].upper()}{one.title[1:]} ({one.check})"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *([escaped(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _rows(one: Finding) -> str:
    """ "train: 3, 9; test: 4, ..."."""
    parts = []
    for split, numbers in one.rows.items():
        first = ", ".join(str(number) for number in numbers[:ROWS])
        parts.append(f"{split}: {first}" + (", ..." if len(numbers) > ROWS else ""))
    return "; ".join(parts)


def _smallest(findings: Sequence[Finding]) -> list[str]:
    for one in findings:
        share = one.observed.get("smallest_detectable_share")
        if isinstance(share, float):
            if share > 1:
                return ["Any one-sided feature: these are too few pairs to tell one from chance."]
            return [f"A one-sided feature in fewer than {100 * share:.2g} % of the prompts."]
    return []


def _details(findings: Sequence[Finding], check: str) -> dict[str, Any]:
    return next((one.details for one in findings if one.check == check), {})


def escaped(text: str) -> str:
    """Text of the data as Markdown that shows it and does nothing else."""
    return SPECIAL.sub(r"\\\1", visible(text).replace("&", "&amp;"))
