"""`pairpress up` as a person has it: one command, and Ctrl-C; kills at its worst moments."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import httpx
import pytest
import yaml
from ground import ROOT, pairpress
from real_server import asked, free_port, until
from real_up import Up, processes_of, start

from tasks.core.errors import InputError
from tasks.core.up_state import LOCK, answers, running_api

FLOW = """
import time
from prefect import flow, get_run_logger

@flow(name="check-dataset")  # the automation watches flows of ours
def wait_long() -> None:
    get_run_logger().info("begun")
    for _ in range(600):
        time.sleep(1)
"""


def worker_of(up: Up) -> int:
    for pid in processes_of(up.work):
        if b"\0worker\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return 0


def run_of(up: Up, run: str) -> dict:
    return httpx.get(f"{up.api}/flow_runs/{run}", timeout=30).json()


def running(up: Up, run: str) -> bool:
    """Whether the flow's own code has begun: its log says so."""
    wanted = {"flow_run_id": {"any_": [run]}}
    begun = [one for one in asked(up.environment, "logs/filter", logs=wanted)]
    return any(one["message"] == "begun" for one in begun) and (
        run_of(up, run)["state_name"] == "Running"
    )


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's own folder: the demo's recipe, and a flow that does nothing for long."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "flows").symlink_to(ROOT / "flows")
    (folder / "wait_long.py").write_text(FLOW)
    shipped = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    (demo,) = (one for one in shipped["deployments"] if one["name"] == "demo")
    wait = {"name": "by-hand", "entrypoint": "wait_long.py:wait_long"}
    deployments = [demo, wait | {"work_pool": {"name": "local-process"}}]
    (folder / "prefect.yaml").write_text(yaml.safe_dump({"deployments": deployments}))
    return folder / "prefect.yaml"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up") / "work"


@pytest.fixture(scope="module")
def up(book: Path, work: Path) -> Iterator[Up]:
    found = start(book, work, "--port", "0")
    try:
        yield found
    finally:
        if found.process.poll() is None:
            found.process.send_signal(signal.SIGINT)
            found.process.wait(120)


def start_run(up: Up) -> str:
    stored = asked(up.environment, "deployments/filter")
    (by_hand,) = (one["id"] for one in stored if one["name"] == "by-hand")
    run = asked(up.environment, f"deployments/{by_hand}/create_flow_run")["id"]
    until(lambda: running(up, run), 180)
    return run


@pytest.mark.server
def test_one_command_starts_server_hub_deployments_automation_and_worker(up):
    ui = up.api.removesuffix("/api")
    with urlopen(ui, timeout=30) as page:
        assert b"Prefect" in page.read()
    assert httpx.get(f"{ui}/ui-settings", timeout=30).json()["api_url"] == up.api
    assert ui in up.said.read_text()
    assert {one["name"] for one in asked(up.environment, "deployments/filter")} == {
        "demo",
        "by-hand",
    }
    (automation,) = asked(up.environment, "automations/filter")
    assert automation["enabled"] and automation["trigger"]["within"] >= 3 * 30
    (worker,) = asked(up.environment, "work_pools/local-process/workers/filter")
    assert worker["status"] == "ONLINE"


@pytest.mark.server
def test_commands_beside_it_use_its_server_and_its_hub(up, book, tmp_path):
    from localhub.client_env import running as hub_running

    assert running_api(up.work) == up.api
    left = tmp_path / "up.json"  # of another one, that was killed: the port is this one's by now
    left.write_text(json.dumps({"api": up.api, "pid": 1}))
    (tmp_path / LOCK).touch()
    assert running_api(tmp_path) is None
    plan = pairpress(
        *("plan", "demo", "--local", "--recipe", str(book)), PAIRPRESS_HOME=str(up.work)
    )
    assert f"Shown at {up.api.removesuffix('/api')}/runs" in plan.stderr, plan.stderr
    served = json.loads((up.work / "hub" / "server.json").read_text())
    with hub_running(up.work / "hub") as hub:
        assert hub.url == served["url"]  # none was started


@pytest.mark.server
def test_a_second_one_is_refused_in_words(up, book, tmp_path):
    again = pairpress("up", "--recipe", str(book), PAIRPRESS_HOME=str(up.work))
    assert again.returncode == 1
    assert "runs already" in again.stderr and str(up.process.pid) in again.stderr
    port = up.api.removesuffix("/api").rpartition(":")[2]
    elsewhere = {"PAIRPRESS_HOME": str(tmp_path / "elsewhere")}
    taken = pairpress("up", "--recipe", str(book), "--port", port, **elsewhere)
    assert taken.returncode == 2
    assert f"PREFECT_API_URL={up.api}" in taken.stderr and "Traceback" not in taken.stderr


@pytest.mark.server
def test_a_run_whose_worker_and_process_are_killed_is_marked_crashed_and_can_be_retried(up):
    """Between two heartbeats (30 s, the least that Prefect takes) instead of three, for time."""
    (automation,) = asked(up.environment, "automations/filter")
    sooner = automation | {"trigger": automation["trigger"] | {"within": 35}}
    kept = {key: sooner[key] for key in ("name", "description", "enabled", "trigger", "actions")}
    httpx.put(f"{up.api}/automations/{automation['id']}", json=kept).raise_for_status()
    run, worker = start_run(up), worker_of(up)
    os.kill(worker, signal.SIGKILL)
    os.kill(int(run_of(up, run)["infrastructure_pid"]), signal.SIGKILL)
    until(lambda: worker_of(up) not in (0, worker), 60)  # started again by itself
    until(lambda: run_of(up, run)["state_name"] == "Crashed", 180)
    assert "No heartbeat" in run_of(up, run)["state"]["message"]
    retried = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
    asked(up.environment, f"flow_runs/{run}/set_state", **retried)
    until(lambda: run_of(up, run)["state_name"] == "Running", 180)


@pytest.mark.server
def test_ctrl_c_ends_runs_worker_server_and_hub_in_order(up, book):
    """Then all again, over what is there: nothing is doubled; a kill leaves nothing behind."""
    assert len(processes_of(up.work)) >= 4  # itself, server, hub, worker; a run
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(90) == 0
    assert processes_of(up.work) == []
    said = up.said.read_text()
    order = ["Stopping the worker", "Stopping the server", "All stopped"]
    assert sorted(order, key=said.index) == order and "killed" not in said
    assert not (up.work / "up.json").exists() and running_api(up.work) is None

    again = start(book, up.work, "--port", str(free_port()))
    assert len(asked(again.environment, "automations/filter")) == 1
    assert len(asked(again.environment, "deployments/filter")) == 2
    (run,) = asked(again.environment, "flow_runs/filter")
    assert run["state_name"] == "Crashed"
    again.process.kill()
    again.process.wait()
    until(lambda: processes_of(up.work) == [], 90)
    assert not answers(again.api) and running_api(up.work) is None


def test_what_it_says_is_in_the_handbook_as_it_is():
    listed = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    handbook = (ROOT / "docs" / "operate.md").read_text()
    assert f"deployments {len(listed)}, automations 1, one worker" in handbook


@pytest.mark.parametrize(("before", "ends"), [("", True), ("SIG_IGN", False)])
def test_a_closed_terminal_ends_it_in_order_but_not_under_nohup(tmp_path, before, ends):
    """Whatever is written to such a terminal fails."""
    ignored = "signal.signal(signal.SIGHUP, signal.SIG_IGN)" if before else ""
    code = (
        "import contextlib, pathlib, signal, time\n"
        f"from flows.start_all import _stopped_by_signals, say\n{ignored}\n"
        "with _stopped_by_signals(), contextlib.ExitStack() as running:\n"
        f"    running.callback(pathlib.Path({str(tmp_path / 'stopped')!r}).touch)\n"
        "    running.callback(say, 'Stopping.')\n"
        "    say('begun')\n"
        "    time.sleep(5)\n"
        f"    pathlib.Path({str(tmp_path / 'slept')!r}).touch()\n"
    )
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={name: told for name, told in os.environ.items() if name != "PYTHONUNBUFFERED"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    assert b"begun" in os.read(ours, 100)
    os.close(ours)
    assert process.wait(60) == 0
    assert (tmp_path / "stopped").exists() and (tmp_path / "slept").exists() is not ends


def test_a_port_that_is_taken_is_told(tmp_path):
    from flows.start_all import _free

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port {port}: taken .*another --port"):
            _free(port)


def test_a_server_that_is_not_there_is_told(tmp_path):
    nobody = f"http://127.0.0.1:{free_port()}/api"
    done = pairpress("up", PREFECT_API_URL=nobody, PAIRPRESS_HOME=str(tmp_path))
    assert done.returncode == 2
    assert f"PREFECT_API_URL={nobody}: no Prefect server answers there" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_leftover_of_a_killed_one_misleads_nobody(tmp_path):
    assert running_api(tmp_path) is None
    left = {"api": f"http://127.0.0.1:{free_port()}/api", "pid": 1}
    (tmp_path / "up.json").write_text(json.dumps(left))
    assert running_api(tmp_path) is None
