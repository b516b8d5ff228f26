"""A real Prefect server and worker as child processes, and how tests speak with them.

Fixtures `server` and `worker` (tests/flows/conftest.py) start one of each for a whole session.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
from ground import ROOT

from tasks.core.up_state import answers

PREFECT = [str(Path(sys.executable).with_name("prefect")), "--no-prompt"]
PAGE = 200  # of the server: more does not come at once


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    command: list[str], environment: Mapping[str, str], log: Path, cwd: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """A command in the background, stopped by SIGINT as Ctrl-C stops it.

    A worker turns SIGTERM into a SIGINT to itself. Where these tests were started in the
    background, SIGINT may be ignored, and children inherit that: it would never stop. So it is
    put back.
    """
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=cwd,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


@contextlib.contextmanager
def server_running(home: Path, **more: str) -> Iterator[dict[str, str]]:
    """The environment of a running server with its own database, and the local process pool."""
    port = free_port()
    environment = os.environ | {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PAIRPRESS_HOME": str(home / "work"),
        **more,
    }
    command = [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with running(command, environment, log := home / "server.log") as process:

        def up() -> bool:
            assert process.poll() is None, log.read_text()
            return answers(f"http://127.0.0.1:{port}/api")

        until(up, 180)
        prefect(environment, "work-pool", "create", "local-process", "--type", "process")
        yield environment


@contextlib.contextmanager
def worker_running(
    environment: Mapping[str, str], log: Path, pool: str = "local-process"
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of the pool; its runs' own output goes to the log."""
    command = [*PREFECT, "worker", "start", "--pool", pool]
    with running(command, environment, log) as process:
        yield process


def until(told: Callable[[], Any], seconds: float, every: float = 0.5) -> Any:
    """What is told as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := told()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {told}"
        time.sleep(every)
    return found


def prefect(environment: Mapping[str, str], *arguments: str, timeout: int = 600) -> str:
    """Standard output of a Prefect command that has to succeed."""
    done = subprocess.run(
        [*PREFECT, *arguments],
        env=dict(environment),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def asked(environment: Mapping[str, str], path: str, **body: Any) -> Any:
    """POST to the server's API, which every Prefect client speaks; all pages of what is filtered.

    503 is a database that was busy: like a client of Prefect, it asks again.
    """
    if not path.endswith("/filter"):
        return _posted(environment, path, body)
    found: list[Any] = []
    while len(page := _posted(environment, path, body | {"offset": len(found)})) == PAGE:
        found += page
    return found + page


def _posted(environment: Mapping[str, str], path: str, body: Mapping[str, Any]) -> Any:
    url = f"{environment['PREFECT_API_URL']}/{path}"
    for _ in range(10):
        reply = httpx.post(url, json=body, timeout=300)
        if reply.status_code != 503:
            break
        time.sleep(1)
    reply.raise_for_status()
    return reply.json()


def told(environment: Mapping[str, str], path: str) -> Any:
    """GET from the server's API."""
    reply = httpx.get(f"{environment['PREFECT_API_URL']}/{path}", timeout=300)
    reply.raise_for_status()
    return reply.json()


def started(
    environment: Mapping[str, str],
    deployment: str,
    variables: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> str:
    """Id of a new run of `flow-name/deployment-name`, as the UI starts one.

    `variables`: of its job, such as {"env": {"PAIRPRESS_HOME": ...}}.
    """
    found = told(environment, f"deployments/name/{deployment}")["id"]
    body = {"parameters": parameters, "job_variables": dict(variables or {})}
    return str(asked(environment, f"deployments/{found}/create_flow_run", **body)["id"])


def reports_of(worker: Path) -> int:
    """How often this log of a worker tells that it reported a death.

    The process's supervisor reports it at once. The worker does it again when its hooks are done,
    and would mark a run that was retried meanwhile as Crashed once more.
    """
    return worker.read_text().count(
        "prefect.flow_runs.worker - Check whether the flow run exceeded"
    )


def state_of(environment: Mapping[str, str], run: str) -> str:
    """Such as RUNNING, COMPLETED, PAUSED (suspended runs too)."""
    return str(told(environment, f"flow_runs/{run}")["state_type"])


def ended(environment: Mapping[str, str], run: str, seconds: float = 600) -> dict[str, Any]:
    """The run, once it has come to its end, whichever."""
    final = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
    until(lambda: state_of(environment, run) in final, seconds, every=1)
    return dict(told(environment, f"flow_runs/{run}"))
