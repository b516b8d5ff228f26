"""kill -9 in the middle of a stage, a cancelled training, two runs at once: one and the same
release in the end, bit for bit that of a run that nobody disturbed.

The deployed demo on a real server and worker, each test in a work folder of its own; the tiny base
is taken over as its finished stage.
"""

import hashlib
import json
import os
import shutil
import signal
import time
from pathlib import Path

import httpx
import pytest
from dying_on_time import listening_in
from ground import GROUND
from huggingface_hub import HfApi, snapshot_download
from real_server import asked, ended, prefect, reports_of, started, told, until

from tasks.core.watching import whole_checkpoints

pytestmark = [pytest.mark.server, pytest.mark.timeout(3600)]

# The other files name repositories and commits, which are others here.
WEIGHTS_DATA_TOKENIZER = (".safetensors", ".parquet", "tokenizer.json", "tokenizer.model", ".jinja")


@pytest.fixture
def home(server, worker, tiny_base, tmp_path):
    """A work folder in which only the base is there; the demo is deployed."""
    shutil.copytree(tiny_base, tmp_path / "work" / "stages" / tiny_base.name)
    prefect(server, "deploy", "--name", "demo")
    return tmp_path / "work"


def demo_started(server, home, name, **environment):
    release = {"repository": f"pairpress/{name}", "private": False}
    variables = {"env": {"PAIRPRESS_HOME": str(home), **environment}}
    return started(server, "release-model/demo", variables, release=release)


def require_crashed(server, worker, run, reports):
    """Killed, and reported by the worker for the second time."""
    assert ended(server, run)["state_type"] == "CRASHED"
    until(lambda: reports_of(worker) > reports, 600)


def retried(server, run):
    """As the button Retry of the UI does it."""
    state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the test"}
    answer = asked(server, f"flow_runs/{run}/set_state", state=state, force=True)
    assert answer["status"] == "ACCEPT", answer


def cancelled(server, run):
    """As the button Cancel of the UI does it: on a busy machine training ends before a command."""
    asked(server, f"flow_runs/{run}/set_state", state={"type": "CANCELLING", "name": "Cancelling"})


def published(repositories):
    """sha256 of the weights, data and tokenizer files of a release, by part and name."""
    found = {}
    for part, one in repositories.items():
        kind = "dataset" if part == "dataset" else "model"
        folder = Path(snapshot_download(one["repo"], repo_type=kind, revision=one["version"]))
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name.endswith(WEIGHTS_DATA_TOKENIZER):
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found[f"{part}/{path.relative_to(folder)}"] = digest
    return found


def require_the_same_release(home, run, demo):
    """v1 of three repositories, one commit each, with the undisturbed release's files."""
    record = json.loads((home / "runs" / run / "release.json").read_text())
    files = published(record["repositories"])
    assert len(files) >= 8
    assert files == published(demo["release"]["repositories"])
    for part, one in record["repositories"].items():
        kind = "dataset" if part == "dataset" else "model"
        commits = HfApi().list_repo_commits(one["repo"], repo_type=kind)
        assert len(commits) == 2  # the repository's first, and the release's one
        refs = HfApi().list_repo_refs(one["repo"], repo_type=kind)
        assert [ref.name for ref in refs.branches] == ["main"]
        assert [ref.name for ref in refs.tags] == ["v1"]
    return record


def log_of(server, run):
    """All lines of a run and of its sub-flows."""
    lines = asked(server, "logs/filter", logs={"flow_run_id": {"any_": family(server, run)}})
    return "\n".join(one["message"] for one in lines)


def family(server, run):
    tasks = asked(server, "task_runs/filter", task_runs={"flow_run_id": {"any_": [run]}})
    parents = {"parent_task_run_id": {"any_": [one["id"] for one in tasks]}}
    return [run, *(one["id"] for one in asked(server, "flow_runs/filter", flow_runs=parents))]


def states(server, run):
    """Name of the last state of each task, by the task's name."""
    tasks = asked(
        server,
        "task_runs/filter",
        task_runs={"flow_run_id": {"any_": family(server, run)}},
        sort="EXPECTED_START_TIME_ASC",
    )
    return {one["name"].rsplit("-", 1)[0]: one["state_name"] for one in tasks}


def stages_in_order(demo):
    """Seconds that each stage of the undisturbed run took, by name; the base's is taken over."""
    names = [name for line in demo["release"]["seconds"] for name in line.get("folders", [])]
    done = [
        json.loads((GROUND / "work" / "stages" / name / "done.json").read_text()) for name in names
    ]
    return {one["stage"]: one["seconds"] for one in done if one["stage"] != "tiny-base"}


def process_of(server, run):
    return int(told(server, f"flow_runs/{run}")["infrastructure_pid"].rpartition(":")[2])


def test_a_run_killed_in_the_middle_of_one_stage_after_the_other_ends_with_the_undisturbed_release(
    server, worker, hub, demo, home, tmp_path
):
    stages = stages_in_order(demo)
    assert list(stages)[-1] == "verify" and {"load", "train", "merge", "release"} <= set(stages)
    order = tmp_path / "kill"
    environment = {
        "PYTHONPATH": listening_in(tmp_path / "listening"),
        "PAIRPRESS_TEST_KILL": str(order),
    }
    run, kills = None, 0
    for stage, seconds in stages.items():
        order.write_text(f"{stage} {seconds / 2}")
        reports = reports_of(worker)
        if run is None:
            run = demo_started(server, home, "killed", **environment)
        else:
            retried(server, run)
        require_crashed(server, worker, run, reports)
        assert not order.exists(), stage
        (left,) = (home / "stages").glob(".*.unfinished")
        assert left.name.startswith(f".{stage}-"), left
        kills += 1
    faults = httpx.Client(base_url=hub.url, headers={"Authorization": f"Bearer {hub.token}"})
    for method, path in (("POST", "/commit/main"), ("POST", "/tag/")):
        slow = {"method": method, "path": path, "kind": "slow", "seconds": 600.0, "skip": 1}
        faults.post("/_faults", json=[slow]).raise_for_status()
        reports = reports_of(worker)
        prefect(server, "flow-run", "retry", run)
        until(lambda: not faults.get("/_faults").json()["left"], 600)
        os.kill(process_of(server, run), signal.SIGKILL)
        require_crashed(server, worker, run, reports)
        faults.delete("/_faults").raise_for_status()
        kills += 1
    print(f"killed {kills} times: {', '.join(stages)}, the last commit, a tag")
    retried(server, run)
    assert ended(server, run)["state_type"] == "COMPLETED"
    record = require_the_same_release(home, run, demo)
    assert record["new_commits"] <= 3
    shown = states(server, run)
    # Not the verification: what a kill has left on main already is another commit to verify.
    for name in ("load", "train", "evaluate after", "merge", "write release"):
        assert shown[name] == "Cached", shown
    assert "train: going on from step" in log_of(server, run)


def test_a_cancelled_training_stops_at_once_and_two_runs_go_on_from_its_checkpoint_as_one(
    server, demo, home
):
    run = demo_started(server, home, "cancelled")
    until(lambda: list((home / "training").glob("*/checkpoint-*")), 600, every=0.05)
    process = process_of(server, run)
    began = time.monotonic()
    cancelled(server, run)
    until(lambda: not Path(f"/proc/{process}").exists(), 60, every=0.05)
    stopped = time.monotonic() - began
    assert ended(server, run)["state_type"] == "CANCELLED"
    (work,) = (home / "training").iterdir()
    kept = whole_checkpoints(work)[-1].name  # one that was being written is none
    assert f"the next run goes on from {work / kept}" in log_of(server, run)
    both = [demo_started(server, home, "cancelled") for _ in range(2)]
    ends = [ended(server, one, 1200) for one in both]
    assert {one["state_type"] for one in ends} == {"COMPLETED"}
    logs = {one: log_of(server, one) for one in both}
    step = kept.removeprefix("checkpoint-")
    assert sum(f"going on from step {step} of" in log for log in logs.values()) == 1
    assert any("another run makes it, waiting" in log for log in logs.values())
    for one in both:
        require_the_same_release(home, one, demo)
    print(f"cancelled: stopped after {stopped:.1f} s")
