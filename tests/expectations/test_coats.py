"""The classes of Great Expectations: one for each measure, with its fields, in any project."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pair_makers import frame_of, natural_pairs

pytest.importorskip("great_expectations", reason="the report extra is not installed")

import great_expectations as gx
from great_expectations.compatibility.pydantic import ValidationError

from expectations.answers_not_empty import ExpectAnswersNotEmpty
from expectations.classes import EXPECTATIONS
from expectations.identity_slots_to_explain_every_difference import (
    ExpectIdentitySlotsToExplainEveryDifference,
)
from expectations.length_not_to_decide import ExpectLengthNotToDecide
from expectations.measures.pairs import Pairs
from expectations.measures.suite import MEASURES
from expectations.no_length_bias import ExpectNoLengthBias
from expectations.no_one_sided_feature import ExpectNoOneSidedFeature

ROOT = Path(__file__).resolve().parents[2]
SLOTS = [{"name": "model", "chosen": ["Aria"], "rejected": ["Qwen"]}]


def test_every_measure_has_a_class_in_a_file_of_its_own():
    assert [one.measure for one in EXPECTATIONS.values()] == list(MEASURES)
    files = {one.__module__ for one in EXPECTATIONS.values()}
    assert len(files) == len(MEASURES)
    for one in EXPECTATIONS.values():
        words = one.__module__.removeprefix("expectations.").replace("_", "")
        assert one.__name__.lower() == f"expect{words}"


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.check)
def test_a_class_has_the_fields_of_its_measure_with_defaults_and_reasons(measure):
    fields = EXPECTATIONS[measure.check].__fields__
    for name, field in measure.model_fields.items():
        if name == "severity":
            continue
        assert fields[name].required == field.is_required(), name
        assert field.is_required() or fields[name].default == field.get_default()
        assert fields[name].field_info.description == field.description, name


def test_the_severity_of_the_measure_survives_being_stored():
    """Great Expectations leaves defaults out of what it stores, and reads none as critical."""
    for expectation, severity in [
        (ExpectNoLengthBias(), "warning"),
        (ExpectNoLengthBias(severity="critical"), "critical"),
        (ExpectLengthNotToDecide(), "critical"),
        (ExpectLengthNotToDecide(severity="warning"), "warning"),
    ]:
        stored = expectation.configuration
        assert stored.severity == severity
        assert stored.to_domain_obj().severity == severity


def test_a_suite_keeps_what_was_changed_when_it_is_stored(tmp_path):
    context = gx.get_context(mode="file", project_root_dir=str(tmp_path))
    ours = [
        ExpectNoOneSidedFeature(purity=0.95, slots=SLOTS),
        ExpectIdentitySlotsToExplainEveryDifference(slots=SLOTS),
    ]
    context.suites.add(gx.ExpectationSuite(name="pairs", expectations=ours))
    again = gx.get_context(mode="file", project_root_dir=str(tmp_path)).suites.get("pairs")
    assert [one.slots for one in again.expectations] == [SLOTS, SLOTS]
    assert again.expectations[0].purity == 0.95


@pytest.mark.parametrize(
    ("expectation", "fields", "reason"),
    [
        (ExpectNoOneSidedFeature, {"purity": 0.3}, "greater than 0.5"),
        (ExpectNoOneSidedFeature, {"purity": "high"}, "not a valid float"),
        (ExpectNoOneSidedFeature, {"purety": 0.9}, "extra fields not permitted"),
        (ExpectIdentitySlotsToExplainEveryDifference, {}, "field required"),
        (ExpectIdentitySlotsToExplainEveryDifference, {"slots": []}, "none given"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_in_words(expectation, fields, reason):
    with pytest.raises(ValidationError, match=reason):
        expectation(**fields)


def test_all_expectations_of_a_batch_share_one_set_of_pairs(monkeypatch):
    made = []
    begin = Pairs.__init__
    monkeypatch.setattr(Pairs, "__init__", lambda self, f: made.append(self) or begin(self, f))
    asset = gx.get_context(mode="ephemeral").data_sources.add_pandas("p").add_dataframe_asset("p")
    frame = frame_of(natural_pairs(50)).to_pandas(use_pyarrow_extension_array=True)
    batch = asset.add_batch_definition_whole_dataframe("p").get_batch({"dataframe": frame})
    ours = [ExpectAnswersNotEmpty(), ExpectNoOneSidedFeature(), ExpectNoLengthBias()]
    assert batch.validate(gx.ExpectationSuite(name="p", expectations=ours)).results
    assert len(made) == 1


def test_the_lines_of_the_page_work_in_a_project_of_somebody_else(tmp_path):
    page = (ROOT / "docs" / "great-expectations.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    frame_of(natural_pairs(200)).write_parquet(tmp_path / "pairs.parquet")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "GX_ANALYTICS_ENABLED": "false", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout.splitlines()
    assert said[0] == "True 3 of 3"
    assert len(said) == 4 and all(line.startswith("expect_") for line in said[1:])
