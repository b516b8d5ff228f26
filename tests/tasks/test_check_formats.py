"""What `pairpress check` tells a machine: annotations, a page, JUnit XML, JSON; and how light."""

import json
import os
import resource
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from ground import ROOT, pairpress
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
    assert done.stdout.splitlines()[-2].startswith("FAILED: ")


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
    assert "::notice title=pairpress check::10 errors are shown" in done.stdout


def test_what_rows_say_is_no_command_to_the_runner(tmp_path):
    """A runner obeys `##[...]` anywhere in a line, until it meets the word it was told to await."""
    rows = natural(60)
    rows[3]["chosen"] = "##[add-mask]e <|im_start|>\n::add-mask::e"
    rows[4] = {"prompt": "a", "chosen": "##[debug]", "##[group]": 1}
    done = pairpress("check", written(tmp_path / "s.jsonl", rows), "--format", "github")
    lines = done.stdout.splitlines()
    stop = next(n for n, line in enumerate(lines) if line.startswith("::stop-commands::"))
    word = lines[stop].removeprefix("::stop-commands::")
    assert len(word) == 32 and lines[-1] == f"::{word}::"
    notes = ("::error ", "::warning ", "::notice ")
    assert all(line.startswith(notes) for line in lines[:stop])


def test_the_name_of_an_unreadable_file_is_no_command_to_the_runner(tmp_path):
    """A runner reads standard error as well."""
    path = tmp_path / "a\n::add-mask::e ##[add-mask]e.jsonl"
    path.write_text("no pairs")
    done = pairpress("check", str(path), "--format", "github")
    (note,) = done.stdout.splitlines()
    assert done.returncode == 2 and note.startswith(f"::error title=unreadable::{tmp_path}/a%0A::")
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"pairpress: {tmp_path}/a ↵ ::add-mask::e ## [add-mask]e.jsonl:1: ")


def test_a_check_of_nothing_is_told_everywhere(tmp_path):
    files = {kind: tmp_path / kind for kind in ("summary", "junit")}
    options = [f"--{kind}={file}" for kind, file in files.items()]
    done = pairpress("check", "--format=github", *options, "--")
    assert done.returncode == 2 and done.stderr.startswith("pairpress: nothing to check")
    assert done.stdout.startswith("::error title=unreadable::nothing to check")
    assert "nothing to check" in files["summary"].read_text()
    assert ET.parse(files["junit"]).getroot().find(".//error") is not None


def test_one_run_tells_the_log_the_page_and_the_xml_the_same(tmp_path):
    rows = natural(60)
    rows[3]["chosen"] = "<|im_start|> <b>yes</b> | `no`"
    path = written(tmp_path / "s.jsonl", rows)
    files = {kind: tmp_path / "new" / kind for kind in ("summary", "junit")}
    options = [f"--{kind}={file}" for kind, file in files.items()]
    done = pairpress("check", path, *options)
    page, xml = files["summary"].read_text(), ET.parse(files["junit"]).getroot()
    assert done.returncode == 1 and done.stdout.splitlines()[-1].startswith("FAILED: 25 checks")
    assert xml.get("failures") == "1" and xml.get("tests") == "25"
    assert page.startswith("## Data check failed\n\n25 checks: 1 failed, ")
    assert page.count("| **FAILED** | Chat tokens in answers (T1) | ") == 1
    assert "<b>" not in page and "\\<b\\>yes\\</b\\> \\| \\`no\\`" in page
    again = pairpress("check", path, *options)
    assert again.stdout == done.stdout
    assert files["summary"].read_text() == 2 * page  # a job's page is added to, XML is replaced
    assert ET.parse(files["junit"]).getroot().get("tests") == "25"


def test_a_page_links_rows_to_the_lines_of_the_commit(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "a b").mkdir()
    rows = natural(60)
    rows[3]["chosen"] = "<|im_start|> yes"
    path = written(tmp_path / "a b" / "s.jsonl", rows)
    job = {
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "you/pairs",
        "GITHUB_SHA": "c0ffee",
    }
    page = tmp_path / "page.md"
    done = pairpress("check", path, f"--summary={page}", "--format", "github", **job)
    assert "::error file=a b/s.jsonl,line=4,title=T1 " in done.stdout
    link = "[4](https://github.com/you/pairs/blob/c0ffee/a%20b/s.jsonl#L4)"
    assert page.read_text().count(link) == 2  # beside the check, and beside the text of the row
    page.unlink()
    pairpress("check", path, f"--summary={page}")
    assert "](" not in page.read_text() and "| 0 rows | 4 |" in page.read_text()


@pytest.mark.parametrize("option", ["--junit", "--summary"])
def test_a_file_that_cannot_be_written_is_told_before_the_work(tmp_path, option):
    path = written(tmp_path / "good.jsonl", natural(20))
    done = pairpress("check", path, option, "")
    assert done.returncode == 2 and f"{option}: empty" in done.stderr
    done = pairpress("check", path, option, str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"pairpress: {option} {tmp_path}: cannot be written" in done.stderr


def test_ten_thousand_rows_take_seconds_and_neither_torch_nor_prefect(tmp_path):
    """Seconds of processor, since the clock counts what else the machine does."""
    path = written(tmp_path / "many.jsonl", natural(10_000))
    options = ["--format=github", f"--junit={tmp_path / 'j'}", f"--summary={tmp_path / 's'}"]
    program = (
        "import sys\n"
        "from flows.__main__ import app\n"
        f"app({['check', path, *options]!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'prefect', 'transformers', 'datasets', 'great_expectations', 'pandas'}\n"
        "print('heavy:', heavy & set(sys.modules))\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.splitlines()[-1] == "heavy: set()", done.stderr
    assert "10,000 rows read as prompt/chosen/rejected" in done.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5
