"""What `pairpress check` tells a machine: annotations, JUnit XML, JSON of what cannot be read."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from ground import pairpress
from pair_files import natural, written


def test_github_gets_annotations_with_file_and_line(tmp_path):
    rows = natural(60)
    rows[3]["chosen"] = "<|im_start|> yes"
    path = written(tmp_path / "array.json", rows)
    done = pairpress("check", path, "--format", "github")
    assert done.returncode == 1
    lines = Path(path).read_text().splitlines()
    note = next(line for line in done.stdout.splitlines() if "title=T1" in line)
    assert note.startswith(f"::error file={path},line=")
    line = int(note.split("line=")[1].split(",")[0])
    assert lines[line - 1].strip() == "{" and "<|im_start|>" in "".join(lines[line : line + 4])
    assert done.stdout.splitlines()[-1].startswith("FAILED: ")


def test_junit_is_xml_with_a_case_a_check(tmp_path):
    done = pairpress(
        "check", written(tmp_path / "s.jsonl", natural(opening="Well, ")), "--format", "junit"
    )
    assert done.returncode == 1
    cases = {case.get("name"): case for case in ET.fromstring(done.stdout).iter("testcase")}
    assert any(
        name.startswith("S1") and case.find("failure") is not None for name, case in cases.items()
    )


@pytest.mark.parametrize("form", ["json", "github", "junit"])
def test_a_file_that_cannot_be_read_is_told_in_the_machine_format_too(tmp_path, form):
    path = tmp_path / "broken.jsonl"
    path.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n{"prompt"\n')
    done = pairpress("check", str(path), "--format", form)
    assert done.returncode == 2 and done.stderr.startswith("pairpress: ")
    if form == "json":
        assert json.loads(done.stdout)["verdict"] == "unreadable"
    elif form == "junit":
        assert ET.fromstring(done.stdout).find(".//error") is not None
    else:
        assert done.stdout.startswith(f"::error file={path},line=2,title=unreadable::")


def test_github_sees_one_annotation_of_each_check_before_the_second_of_any(tmp_path):
    rows = natural(300, opening="Certainly! ")
    rows[5]["chosen"] = "<|im_start|>"
    done = pairpress("check", written(tmp_path / "s.jsonl", rows), "--format", "github")
    errors = [line for line in done.stdout.splitlines() if line.startswith("::error")]
    assert len(errors) == 10
    first = [line.split("title=")[1][:2] for line in errors]
    assert {"S1", "S2", "S3", "T1"} <= set(first[:5])
    assert all("No word and no habit" not in line for line in errors[5:])
