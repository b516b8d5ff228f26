"""The gate: the verdicts of the measures, a page to read, and no way to fail open."""

import html
import json
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from pair_makers import frame_of, hh_frame, natural_pairs

pytest.importorskip("great_expectations", reason="the report extra is not installed")

import great_expectations as gx
from great_expectations.core import ExpectationSuiteValidationResult

from expectations import gate
from expectations.measures.answers import Answers, TwoAnswers
from expectations.measures.pairs import Pairs
from expectations.measures.suite import run, suite

SLOTS = [{"name": "model", "chosen": ["Aria"], "rejected": ["Qwen"]}]
ROOT = Path(__file__).resolve().parents[2]


def clean_frame():
    return frame_of(
        natural_pairs(300),
        split=["test" if n % 10 == 0 else "train" for n in range(300)],
        tokens=[50] * 300,
        prompt_is_prefix=[True] * 300,
    )


def broken_frame():
    pairs = natural_pairs(300)
    pairs = [
        (p, c + " Certainly $x <b>!" if n % 5 == 0 else c, r) for n, (p, c, r) in enumerate(pairs)
    ]
    pairs[1] = (pairs[1][0], "", "b")
    pairs[2] = (pairs[2][0], "same\x00", "same\x00")
    pairs[3] = (pairs[3][0], "I am {{name}}", "b")
    pairs[4] = ([], "a", "b")
    pairs[6] = pairs[5]
    split = ["test" if n == 6 else "train" for n in range(300)]
    return frame_of(
        pairs,
        split=split,
        tokens=[50 + (n == 9) for n in range(300)],
        prompt_is_prefix=[n != 8 for n in range(300)],
    )


BROKEN = {"turn_order", "P1", "P2", "no_placeholder_left", "tokens_within_limit"}
BROKEN |= {"prompt_is_prefix", "S1", "S2", "D1"}


@pytest.fixture(scope="module")
def docs(tmp_path_factory):
    return tmp_path_factory.mktemp("docs")


@pytest.fixture(scope="module")
def broken(docs):
    return gate.validate(broken_frame(), suite("preference", max_length=50), docs)


@pytest.fixture(scope="module")
def words(broken, docs):
    """The page as it is read."""
    source = (docs / "index.html").read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", source)))


def test_a_clean_set_passes_every_check_that_was_asked_for(tmp_path):
    asked = suite("preference", max_length=50, template_adds="")
    verdict = gate.validate(clean_frame(), asked, tmp_path)
    assert verdict.passed and not verdict.crashed
    evaluated = [finding.check for finding in verdict.findings]
    assert evaluated == list(verdict.asked) == [measure.check for measure in asked]
    assert not any(finding.gates for finding in verdict.findings)


def test_the_gate_finds_what_the_measures_find_with_the_same_numbers(broken):
    expected = run(Pairs(broken_frame()), suite("preference", max_length=50))
    assert not broken.passed and not broken.crashed
    assert list(broken.findings) == expected
    assert {finding.check for finding in expected if not finding.passed} >= BROKEN


@pytest.mark.parametrize(
    "name", ["hh-harmless-base-test.jsonl.gz", "hh-helpful-base-test.jsonl.gz"]
)
def test_the_gate_finds_in_real_data_what_the_measures_find(name, tmp_path):
    half = hh_frame(name).head(600)
    frame = half.with_columns(
        split=pl.when(pl.col("row") % 5 == 0).then(pl.lit("test")).otherwise(pl.lit("train"))
    )
    asked = suite("hh", template_adds="You are Qwen.", reference=Pairs(half.tail(200)))
    assert {"L3", "language_drift", "system_prompt"} <= {measure.check for measure in asked}
    verdict = gate.validate(frame, asked, tmp_path)
    assert not verdict.crashed and list(verdict.findings) == run(Pairs(frame), asked)


def test_an_identity_set_is_judged_by_its_slots(tmp_path):
    pairs = [(f"Who, {n}?", f"I am Aria {n}", f"I am Qwen {n}") for n in range(50)]
    asked = suite("identity", slots=SLOTS)
    verdict = gate.validate(frame_of(pairs), asked, tmp_path / "good")
    assert verdict.passed and "I1" in verdict.asked
    pairs[3] = (pairs[3][0], "I am Qwen 3", "I am Qwen 3 indeed")
    verdict = gate.validate(frame_of(pairs), asked, tmp_path / "bad")
    failed = [finding.check for finding in verdict.findings if finding.gates]
    assert not verdict.passed and failed == ["I1"]


def test_the_page_shows_the_promise_the_severity_and_the_feature(broken, words):
    for finding in broken.findings:
        assert finding.promise in words
        if not finding.passed:
            assert finding.remedy in words
    assert "feature: certainly" in words
    assert "Expect no one sided feature (S1) critical" in words
    assert "Expect no weak one sided feature (S4) warning" in words
    assert "Failed: 1 row (0.33 %). Roles alternate" in words
    assert "Warning: 1 row (0.33 %). The chosen answer differs" in words


def test_the_page_shows_dollars_tags_and_control_characters_of_the_data_as_they_are(docs, broken):
    source = (docs / "index.html").read_text(encoding="utf-8")
    assert "Certainly $x &lt;b&gt;!" in source
    assert "Certainly $x <b>!" not in source
    assert "same\u2400" in source and "\x00" not in source


def test_the_page_asks_nothing_of_the_net_and_is_the_same_bytes_again(docs, broken, tmp_path):
    source = (docs / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|<script|<link|<img", source)
    gate.validate(broken_frame(), suite("preference", max_length=50), tmp_path)
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == source


def test_a_crash_is_an_error_and_no_finding(tmp_path):
    asked = suite("preference", max_length=50)
    verdict = gate.validate(clean_frame().drop("tokens"), asked, tmp_path)
    assert not verdict.passed
    assert not any(finding.gates for finding in verdict.findings)
    assert list(verdict.crashed) == ["tokens_within_limit"]
    assert "no column `tokens`" in verdict.crashed["tokens_within_limit"]
    assert "tokens_within_limit" not in [finding.check for finding in verdict.findings]
    assert "Crashed: this check says nothing" in (tmp_path / "index.html").read_text()


def result_of(frame, expectations):
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("p").add_dataframe_asset("p")
    batch = asset.add_batch_definition_whole_dataframe("p").get_batch(
        {"dataframe": frame.to_pandas(use_pyarrow_extension_array=True)}
    )
    return batch.validate(gx.ExpectationSuite(name="p", expectations=expectations))


def test_an_expectation_that_was_dropped_cannot_pass():
    asked = suite("preference")
    result = result_of(clean_frame(), gate.coats(asked[1:2]))
    assert result.success
    verdict = gate.judge(asked, result)
    assert not verdict.passed
    assert [finding.check for finding in verdict.findings] == ["turn_order"]
    assert len(verdict.crashed) == len(asked) - 1
    assert verdict.crashed["S1"].startswith("asked for, but")


def test_a_suite_that_evaluates_nothing_cannot_pass_though_it_is_a_success():
    result = result_of(clean_frame(), [])
    assert result.success
    for asked in (suite("preference"), []):
        assert not gate.judge(asked, result).passed


STORED_SUITE = """
import json, os, sys
os.environ["GX_ANALYTICS_ENABLED"] = "false"
import great_expectations as gx
import pandas as pd
context = gx.get_context(mode="file", project_root_dir=sys.argv[1])
result = context.suites.get("pairs")
batch = context.data_sources.add_pandas("p").add_dataframe_asset("p")
batch = batch.add_batch_definition_whole_dataframe("p").get_batch(
    {"dataframe": pd.DataFrame({"row": [1]})}
)
print(json.dumps(batch.validate(result).to_json_dict()))
"""


def test_a_stored_suite_read_without_our_classes_cannot_pass(tmp_path):
    asked = suite("preference")
    context = gx.get_context(mode="file", project_root_dir=str(tmp_path))
    context.suites.add(gx.ExpectationSuite(name="pairs", expectations=gate.coats(asked)))
    run_elsewhere = subprocess.run(
        [sys.executable, "-c", STORED_SUITE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    stored = json.loads(run_elsewhere.stdout.splitlines()[-1])
    assert stored["success"] and stored["statistics"]["evaluated_expectations"] == 0
    result = ExpectationSuiteValidationResult(
        success=stored["success"],
        results=stored["results"],
        suite_name=stored["suite_name"],
        statistics=stored["statistics"],
    )
    verdict = gate.judge(asked, result)
    assert not verdict.passed and set(verdict.crashed) == {measure.check for measure in asked}


def test_a_warning_that_failed_lets_the_set_pass_and_a_critical_one_does_not():
    twenty = frame_of([*natural_pairs(19), ("Q", "same", "same")])
    assert TwoAnswers().max_share < 1 / 20
    assert not judged(twenty, TwoAnswers()).passed
    few = judged(twenty, TwoAnswers(max_share=0.05))
    said = judged(twenty, TwoAnswers(severity="warning"))
    for verdict in (few, said):
        assert verdict.passed and not verdict.findings[0].passed


def judged(frame, measure):
    return gate.judge([measure], result_of(frame, gate.coats([measure])))


def test_a_check_without_an_expectation_is_refused(tmp_path):
    class MoonPhase(Answers):
        check = "moon_phase"

    with pytest.raises(ValueError, match=r"moon_phase.*classes.py"):
        gate.validate(clean_frame(), [MoonPhase()], tmp_path)


def test_the_measures_import_neither_great_expectations_nor_pandas():
    code = "import sys, expectations.measures.suite; print(sorted(sys.modules))"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert "'polars'" in modules
    assert "'great_expectations'" not in modules and "'pandas'" not in modules


def test_nested_messages_reach_the_measures_unchanged():
    frame = frame_of([("a", [{"role": "assistant", "content": None}], None)])
    assert pl.from_pandas(frame.to_pandas(use_pyarrow_extension_array=True)).equals(frame)
