"""The gate: the verdicts of the measures, a page to read, and no way to fail open."""

import html
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from pair_makers import frame_of, natural_pairs

pytest.importorskip("great_expectations", reason="the report extra is not installed")

import great_expectations as gx
from great_expectations.core import ExpectationSuiteValidationResult

from expectations import gate
from expectations.measures.suite import Asked, run, suite

SLOTS = [{"name": "model", "chosen": ["Aria"], "rejected": ["Qwen"]}]
ROOT = Path(__file__).resolve().parents[2]


def clean_frame():
    return frame_of(
        natural_pairs(300),
        split=["test" if n % 10 == 0 else "train" for n in range(300)],
        tokens=[50] * 300,
    )


def broken_frame():
    pairs = natural_pairs(300)
    pairs = [
        (p, c + " Certainly $x <b>!" if n % 5 == 0 else c, r) for n, (p, c, r) in enumerate(pairs)
    ]
    pairs[1] = (pairs[1][0], "", "b")
    pairs[2] = (pairs[2][0], "same", "same")
    pairs[3] = (pairs[3][0], "I am {{name}}", "b")
    pairs[4] = ([], "a", "b")
    pairs[6] = pairs[5]
    split = ["test" if n == 6 else "train" for n in range(300)]
    return frame_of(pairs, split=split, tokens=[50 + (n == 9) for n in range(300)])


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    return gate.validate(
        broken_frame(), suite("preference", max_length=50), tmp_path_factory.mktemp("docs")
    )


def test_a_clean_set_passes_every_check_that_was_asked_for(tmp_path):
    asked = suite("preference", max_length=50)
    verdict = gate.validate(clean_frame(), asked, tmp_path)
    assert verdict.passed and not verdict.errors
    assert set(verdict.evaluated) == set(verdict.asked) == {ask.name for ask in asked}
    assert all(finding.passed for finding in verdict.findings)


def test_the_gate_finds_what_the_measures_find_with_the_same_numbers(broken):
    expected = run(broken_frame(), suite("preference", max_length=50))
    assert not broken.passed and not broken.errors
    assert {f.check: f for f in broken.findings} == {f.check: f for f in expected}
    assert not any(finding.passed for finding in expected if finding.check != "S2")


def test_an_identity_set_is_judged_by_its_slots(tmp_path):
    pairs = [(f"Who, {n}?", f"I am Aria {n}", f"I am Qwen {n}") for n in range(50)]
    asked = suite("identity", slots=SLOTS)
    verdict = gate.validate(frame_of(pairs), asked, tmp_path / "good")
    assert verdict.passed and "I1" in verdict.evaluated
    pairs[3] = (pairs[3][0], "I am Qwen 3", "I am Qwen 3 indeed")
    verdict = gate.validate(frame_of(pairs), asked, tmp_path / "bad")
    failed = [finding.check for finding in verdict.findings if not finding.passed]
    assert not verdict.passed and failed == ["I1"]


def test_the_page_shows_the_promise_the_severity_and_the_feature(broken):
    assert broken.docs.is_file() and broken.docs.name == "index.html"
    source = broken.page.read_text(encoding="utf-8")
    words = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", source)))
    for finding in broken.findings:
        assert finding.promise in words
        if not finding.passed:
            assert finding.remedy in words
    assert "feature: certainly" in words
    assert "critical" in words
    assert "Failed. No word and no habit of layout" in words


def test_the_page_shows_dollars_and_tags_of_the_data_as_they_are(broken):
    source = broken.page.read_text(encoding="utf-8")
    assert "Certainly $x &lt;b&gt;!" in source
    assert "Certainly $x <b>!" not in source


def test_a_crash_is_an_error_and_no_finding(tmp_path):
    verdict = gate.validate(
        clean_frame().drop("tokens"), suite("preference", max_length=50), tmp_path
    )
    assert not verdict.passed
    assert all(finding.passed for finding in verdict.findings)
    [error] = verdict.errors
    assert error.startswith("tokens_within_limit: the check crashed")
    assert "no column `tokens`" in error
    assert "tokens_within_limit" not in verdict.evaluated


def result_of(frame, expectations):
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("p").add_dataframe_asset("p")
    batch = asset.add_batch_definition_whole_dataframe("p").get_batch(
        {"dataframe": frame.to_pandas(use_pyarrow_extension_array=True)}
    )
    return batch.validate(gx.ExpectationSuite(name="p", expectations=expectations))


def test_an_expectation_that_was_dropped_cannot_pass(tmp_path):
    asked = suite("preference")
    result = result_of(clean_frame(), [gate.EXPECTATIONS["turn_order"]()])
    assert result.success
    verdict = gate.judge(asked, result, docs=tmp_path, page=tmp_path)
    assert not verdict.passed
    assert verdict.evaluated == ("turn_order",)
    assert len(verdict.errors) == len(asked) - 1
    assert any(error.startswith("S1: asked for, but") for error in verdict.errors)


def test_a_suite_that_evaluates_nothing_cannot_pass_though_it_is_a_success(tmp_path):
    result = result_of(clean_frame(), [])
    assert result.success
    for asked in (suite("preference"), []):
        assert not gate.judge(asked, result, docs=tmp_path, page=tmp_path).passed


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
    context.suites.add(
        gx.ExpectationSuite(name="pairs", expectations=[gate.EXPECTATIONS[a.name]() for a in asked])
    )
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
    verdict = gate.judge(asked, result, docs=tmp_path, page=tmp_path)
    assert not verdict.passed and len(verdict.errors) == len(asked)


def test_a_warning_that_failed_lets_the_set_pass_and_a_critical_one_does_not(tmp_path):
    asked = [Asked("chosen_differs", suite("preference")[2].measure)]
    result = result_of(broken_frame(), [gate.EXPECTATIONS["chosen_differs"]()])
    assert not gate.judge(asked, result, docs=tmp_path, page=tmp_path).passed
    result.results[0].result["details"]["severity"] = "warning"
    verdict = gate.judge(asked, result, docs=tmp_path, page=tmp_path)
    assert verdict.passed and not verdict.findings[0].passed


def test_a_check_without_an_expectation_is_refused(tmp_path):
    unknown = replace(suite("preference")[0], name="moon_phase")
    with pytest.raises(ValueError, match=r"moon_phase.*gate.py"):
        gate.validate(clean_frame(), [unknown], tmp_path)


def test_every_check_of_every_suite_has_an_expectation():
    asked = [*suite("preference", max_length=1), *suite("identity", slots=SLOTS)]
    assert {ask.name for ask in asked} == set(gate.EXPECTATIONS)


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
