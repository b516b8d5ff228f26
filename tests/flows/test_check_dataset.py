"""The data set check inside Prefect: the same verdict, and the report left with the run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ground import ROOT

pytestmark = pytest.mark.slow

RUN = """
import json, sys
from prefect.client.orchestration import get_client
from flows.check_dataset import check_dataset
from tasks.core.errors import Refused

said = {"refused": "", "folder": ""}
try:
    said["folder"] = check_dataset(**json.loads(sys.argv[1]))
except Refused as error:
    said["refused"] = str(error)
with get_client(sync_client=True) as client:
    runs = {run.name: run.state_name for run in client.read_flow_runs()}
    artifacts = client.read_artifacts()
print(json.dumps(said | {
    "states": list(runs.values()), "artifacts": {one.key: one.data for one in artifacts},
}))
"""


def run(tmp_path: Path, **parameters: object) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(parameters)],
        cwd=ROOT,
        env=os.environ | {"PREFECT_HOME": str(tmp_path), "PAIRPRESS_HOME": str(tmp_path / "work")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_clean_file_passes_and_leaves_its_report(real_data, tmp_path):
    source = [str(real_data / "ultrafeedback-sample.jsonl")]
    said = run(tmp_path, source=source, suite={"against": str(real_data / "dpo-en-demo.json")})
    assert said["states"] == ["Completed"] and not said["refused"]
    files = {path.name for path in Path(said["folder"]).rglob("*.*")}
    assert files == {"report.md", "report.png", "findings.json", "junit.xml", "index.html"}
    shown = said["artifacts"]["data-check"]
    assert "**Passed.**" in shown and "Equal answers (P2): 1 row (0.5 %)" in shown
    assert said["folder"] in shown and "](report.png)" not in shown


def test_a_shortcut_fails_the_run_and_the_report_says_why(real_data, tmp_path):
    said = run(tmp_path, source=[str(real_data / "instruction-preference.json")])
    assert said["states"] == ["Failed"]
    assert "FAILED One-sided feature (S1)" in said["refused"] and "obviously" in said["refused"]
    shown = said["artifacts"]["data-check"]
    assert "**Failed.**" in shown and "obviously" in shown
