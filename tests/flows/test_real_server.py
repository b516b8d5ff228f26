"""A real Prefect server, process pool and worker: nothing else catches a broken library pin."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from ground import GROUND, ROOT

pytestmark = pytest.mark.server
PREFECT = [str(Path(sys.executable).with_name("prefect")), "--no-prompt"]


@pytest.fixture(scope="module")
def server(hub, tmp_path_factory) -> Iterator[dict[str, str]]:
    """The environment of a running server with its own database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("server")
    environment = os.environ | {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PAIRPRESS_HOME": str(home / "work"),
    }
    log = (home / "server.log").open("w")
    process = subprocess.Popen(
        [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + 120
        while not answers(f"http://127.0.0.1:{port}/api/health"):
            assert process.poll() is None and time.monotonic() < deadline, Path(
                log.name
            ).read_text()
            time.sleep(0.5)
        prefect(environment, "work-pool", "create", "local-process", "--type", "process")
        yield environment
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2):
            return True
    except (URLError, OSError):
        return False


def prefect(environment: dict[str, str], *arguments: str, timeout: int = 600) -> str:
    done = subprocess.run(
        [*PREFECT, *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def asked(environment: dict[str, str], path: str, **body: object) -> list[dict]:
    """POST to the server's API, which every Prefect client speaks."""
    import httpx

    reply = httpx.post(f"{environment['PREFECT_API_URL']}/{path}", json=body, timeout=30)
    reply.raise_for_status()
    return reply.json()


def test_what_prefect_deploys_equals_what_the_command_line_runs(server):
    from tasks.core.recipes import deployments, parameters_of
    from tasks.core.settings import Recipe

    prefect(server, "deploy", "--all")
    prefect(server, "deploy", "--all")  # and again
    stored = {one["name"]: one for one in asked(server, "deployments/filter")}
    book = ROOT / "prefect.yaml"
    assert set(stored) == set(deployments(book))
    for name, deployment in stored.items():
        ours = parameters_of(name, book)
        assert Recipe.model_validate(deployment["parameters"]) == Recipe.model_validate(ours)
        assert deployment["parameters"] == ours
        assert deployment["entrypoint"] == "flows/release_model.py:release_model"
        assert set(deployment["parameter_openapi_schema"]["properties"]) == set(Recipe.model_fields)


def test_a_deployed_schedule_yields_a_scheduled_run(server):
    prefect(server, "deploy", "--name", "demo")
    prefect(
        server,
        *("deployment", "schedule", "create", "release-model/demo", "--cron", "0 3 * * *"),
    )
    deadline = time.monotonic() + 120
    runs: list[dict] = []
    while not runs and time.monotonic() < deadline:
        runs = asked(
            server, "flow_runs/filter", flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}}
        )
        time.sleep(1)
    assert runs, "no Scheduled run after two minutes: is SQLAlchemy the pinned one?"
    prefect(server, "deployment", "schedule", "clear", "release-model/demo", "--accept-yes")


def test_a_worker_runs_the_deployed_demo_end_to_end(server, demo, tiny_base):
    """The tiny base is taken over as its finished stage folder; all that follows runs anew."""
    stages = Path(server["PAIRPRESS_HOME"]) / "stages"
    shutil.copytree(tiny_base, stages / tiny_base.name)
    prefect(server, "deploy", "--name", "demo")
    log = GROUND / "worker.log"
    with log.open("w") as output:
        worker = subprocess.Popen(
            [*PREFECT, "worker", "start", "--pool", "local-process"],
            env=server,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        said = prefect(
            server,
            *("deployment", "run", "release-model/demo", "--watch", "--watch-timeout", "600"),
            *("--param", 'release={"repository": "pairpress/by-worker", "private": false}'),
            timeout=700,
        )
    finally:
        worker.terminate()
        try:
            worker.wait(30)
        except subprocess.TimeoutExpired:  # its run has ended; how a worker stops is Prefect's
            worker.kill()
            worker.wait()
    runs = asked(server, "flow_runs/filter", sort="START_TIME_DESC")
    whole = [run for run in runs if run["deployment_id"] and run["state_type"] == "COMPLETED"]
    assert whole, said + log.read_text()[-3000:]
    record = json.loads((stages.parent / "runs" / "latest" / "release.json").read_text())
    assert record["version"] == "v1" and record["new_commits"] == 3
    cached = [one["stage"] for one in record["seconds"] if one["cached"]]
    assert cached == ["train tiny base"]
    artifacts = {one["key"] for one in asked(server, "artifacts/filter")}
    assert {"data-check", "training", "dpo-evaluation", "release"} <= artifacts
