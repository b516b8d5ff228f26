"""The report: what failed first, with its rows; the same findings are the same bytes."""

import json
import re
import struct
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from expectations.measures.finding import Finding
from tasks.core import report
from tasks.core.report import Checked

pytest.importorskip("matplotlib", reason="the report extra is not installed")

ABOUT = Checked(
    source="a/b_c",
    read_as="ready pairs",
    profile="preference",
    rows=1000,
    set_aside={"empty answer": 4, "你好 $x$": 2},
)
NASTY = "a|b\x00<b>\n`c` $x$ ![p](http://q) \x1b[31m &amp; "


def finding(check: str, passed: bool = True, **fields: object) -> Finding:
    return Finding(
        **{
            "check": check,
            "title": f"title of {check}",
            "promise": f"Promise of {check}.",
            "severity": "critical",
            "passed": passed,
            "number": "0 rows",
            "threshold": "0 rows",
            "observed": {"pairs": 1000, "share": 0.00333},
            "remedy": f"Remedy of {check}.",
        }
        | fields  # type: ignore[arg-type]
    )


def feature(name: str, b: int, c: int, found: bool) -> dict[str, object]:
    return {"kind": "word", "name": name, "b": b, "c": c, "found": found}


EXAMPLE = {
    "split": "train",
    "row": 7,
    "why": NASTY,
    "prompt_end": "Q",
    "chosen": "c ",
    "rejected": "",
}
EDGES = [step / 4 - 1 / 8 for step in range(-12, 14)]
FINDINGS = [
    finding("P3"),
    finding("W1", False, severity="warning", rows={"train": [9]}, number="1 row"),
    finding("P1", False, rows={"train": list(range(1, 31)), "test": [4]}, examples=(EXAMPLE,)),
    finding(
        "S1",
        observed={"smallest_detectable_share": 0.0123},
        details={"features": [feature("猫$x$", 9, 0, True), feature("the", 30, 20, False)]},
    ),
    finding("L1", details={"histogram": {"edges": EDGES, "counts": list(range(25))}}),
]
CRASHED = {"D1": "ValueError: <boom>"}


def test_failures_come_first_with_rows_and_remedy_then_warnings_then_what_passed() -> None:
    text = report.markdown(ABOUT, FINDINGS, {})
    headings = re.findall(r"^##+ (.*)$", text, re.MULTILINE)
    assert headings == [
        "Failed",
        "Title of P1 (P1): 0 rows",
        "Warnings",
        "Title of W1 (W1): 1 row",
        "Passed",
        "What these checks cannot see",
    ]
    assert "**Failed.** 5 checks: 1 failed, 1 warning." in text
    assert "- Rows: train: 1, 2, 3" in text and "20, ...; test: 4" in text
    assert "- What to do: Remedy of P1." in text
    assert "1,000 rows, read as ready pairs; 6 set aside" in text
    assert "fewer than 1.2 % of the prompts" in text


def test_text_of_the_data_cannot_change_the_page() -> None:
    text = report.markdown(ABOUT, FINDINGS, {})
    [row] = [line for line in text.splitlines() if line.startswith("| 7 |")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 6  # five cells
    assert "<b>" not in re.sub(r"\\<", "", row) and "![" not in row
    assert "\x00" not in text and "\x1b" not in text
    assert "c␣" in row


def test_a_crash_is_no_pass_in_any_form() -> None:
    passing = [FINDINGS[0]]
    assert "**Passed.**" in report.markdown(ABOUT, passing, {})
    text = report.markdown(ABOUT, passing, CRASHED)
    assert "**Crashed.** 2 checks: 0 failed, 0 warnings, 1 crashed." in text
    assert "- D1: ValueError: \\<boom\\>" in text
    assert "**Crashed.**" in report.markdown(ABOUT, [], {})
    suite = ET.fromstring(report.junit(passing, CRASHED))
    assert (suite.get("errors"), suite.get("failures"), suite.get("tests")) == ("1", "0", "2")
    assert suite.find(".//testcase[@name='D1']/error") is not None


def test_junit_has_a_test_case_a_check_and_fails_where_a_gate_does() -> None:
    root = ET.fromstring(report.junit(FINDINGS, {}))
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert len(cases) == len(FINDINGS) == int(root.get("tests") or 0)
    failed = [name for name, case in cases.items() if case.find("failure") is not None]
    assert failed == ["P1 title of P1"]
    told = cases["P1 title of P1"].findtext("failure") or ""
    assert "train row 7: a|b" in told and "What to do: Remedy of P1." in told
    said = cases["W1 title of W1"].findtext("system-out") or ""
    assert said.startswith("warning: 1 row; allowed: 0 rows")


def test_what_was_written_is_read_back_and_the_same_bytes_come_again(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        report.write(tmp_path / folder, ABOUT, FINDINGS, CRASHED)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(name for name in report.FILES if "/" not in name)
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    findings, crashed = report.read_findings(tmp_path / "one")
    assert {one.check: one for one in findings} == {one.check: one for one in FINDINGS}
    assert crashed == CRASHED
    content = json.loads((tmp_path / "one" / "findings.json").read_text())
    assert [one["check"] for one in content["findings"] if one["gates"]] == ["P1"]


@pytest.mark.filterwarnings("error")  # a character without a shape is a warning of matplotlib
def test_the_picture_has_a_panel_for_what_was_asked(tmp_path: Path) -> None:
    from tasks.core.report_picture import draw

    histogram, features = FINDINGS[-1].details["histogram"], FINDINGS[-2].details["features"]
    draw(tmp_path / "all.png", histogram, features, ABOUT.set_aside)
    draw(tmp_path / "one_sided.png", None, [], {})
    whole, less = height(tmp_path / "all.png"), height(tmp_path / "one_sided.png")
    assert whole > 3 * less > 0


def height(path: Path) -> int:
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return int(struct.unpack(">II", data[16:24])[1])


def test_a_sentence_tells_what_failed_in_a_line() -> None:
    told = report.sentence(FINDINGS[2])
    assert told.startswith("FAILED Title of P1 (P1): 0 rows, allowed 0 rows. Promise of P1.")
    assert told.endswith("What to do: Remedy of P1.") and "\n" not in told
