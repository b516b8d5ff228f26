"""`pairpress up`: server, pool, deployments, automations and worker on one machine, until Ctrl-C.

in   a book of recipes, a port; the environment of all runs, as flows/__main__.py has set it
     PREFECT_API_URL, if set: that server is used and none is started
out  the UI's address; .pairpress/up.json while it runs; .pairpress/logs/{server,worker}.log
     https://docs.prefect.io/v3/concepts/workers

All of it is one story: what is started in which order, what goes wrong on the way, the way back.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from tasks.core.child import Child
from tasks.core.errors import InputError, Refused
from tasks.core.stage import work_folder
from tasks.core.up_state import LOCK, answers, told_by

POOL = "local-process"
PREFECT = [sys.executable, "-m", "prefect", "--no-prompt"]
_SERVER_S, _DEPLOY_S, _WORKER_S = 300, 600, 300  # a busy machine takes its time; a quiet one 10
_RUNS_S, _STOP_S = 30, 20  # for runs to end themselves; for a worker or server without any
_SOON_S = 60  # a worker that ends this soon after it was started again is given up


def start_all(book: Path, port: int) -> None:
    """Returns when everything has stopped again. Raises Refused, InputError: told in words."""
    began = time.monotonic()
    work = work_folder()
    os.environ["PAIRPRESS_HOME"] = str(work)  # runs start in the book's folder, not in this one
    logs = work / "logs"
    logs.mkdir(exist_ok=True)
    with _only_one(work), _stopped_by_signals(), contextlib.ExitStack() as running:
        api = os.environ.get("PREFECT_API_URL")
        server = None
        if api is None:
            api, server = _start_server(port, book.parent, logs, running)
            os.environ["PREFECT_API_URL"] = api
        from prefect.client.orchestration import get_client  # slow, so while the server starts

        from flows.deploy_book import schedules_kept
        from flows.end_runs import mark_dead_runs
        from flows.put_automations import put_automations

        _wait_for_server(api, server)
        ui = api.removesuffix("/api")
        say(f"Prefect's UI: {ui}  ({time.monotonic() - began:.0f} s)", sys.stdout)
        with get_client(sync_client=True) as client:
            _put_pool(client)
            command = [*PREFECT, "worker", "start", "--pool", POOL, "--name", _worker_name()]
            worker = Child("worker", command, book.parent, logs / "worker.log")
            running.callback(_stop_worker, worker)
            mark_dead_runs(
                client, _worker_name(), "The machine or `pairpress up` was killed. Retry it."
            )
            started = datetime.now(UTC)
            worker.start()
            with schedules_kept(client, work):
                deployed = _deploy(book, logs)
            automations = put_automations(client)
            _until(lambda: _is_online(client, started), _WORKER_S, worker)
        (work / "up.json").write_text(json.dumps({"api": api, "pid": os.getpid()}))
        running.callback((work / "up.json").unlink, missing_ok=True)
        took = time.monotonic() - began
        say(
            f"Ready after {took:.0f} s: deployments {deployed}, automations {len(automations)}, "
            f"one worker. Logs: {logs}"
        )
        say(_next_steps(ui))
        _watch(worker, server)


def _worker_name() -> str:
    """Its runs carry it: another `up`, on another folder or machine, leaves them alone."""
    folder = hashlib.sha256(str(work_folder()).encode()).hexdigest()[:6]
    return f"pairpress up on {platform.node()}, {folder}"


def say(text: str, where: Any = None) -> None:
    stream = where or sys.stderr
    try:
        print(text, file=stream, flush=True)
    except OSError:  # a terminal that was closed takes no more words, at our end neither
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


@contextlib.contextmanager
def _only_one(work: Path) -> Iterator[None]:
    """The lock goes with this process, also when it is killed: up.json alone may be a left-over."""
    with (work / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = told_by(work)
            where = f"{told['api'].removesuffix('/api')}, process {told['pid']}" if told else None
            raise Refused(
                f"`pairpress up` runs already on {work} ({where or 'it is still starting'}). "
                "Ctrl-C in its terminal stops it; PAIRPRESS_HOME is another folder for another one."
            ) from None
        yield


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal end us in order, once. Ctrl-C also where a shell made
    us ignore it; not a closed terminal, which is what `nohup` asks for."""
    ends = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ends.append(signal.SIGHUP)

    def stop(number: int, frame: FrameType | None) -> None:
        for each in ends:
            signal.signal(each, lambda *_: say("Stopping already."))
        raise KeyboardInterrupt

    before = {each: signal.signal(each, stop) for each in ends}
    try:
        yield
    except KeyboardInterrupt:
        say("All stopped.")
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _start_server(
    port: int, folder: Path, logs: Path, running: contextlib.ExitStack
) -> tuple[str, Child]:
    port = _free(port)
    api = f"http://127.0.0.1:{port}/api"
    os.environ.setdefault("PREFECT_UI_API_URL", api)  # else the pages ask port 4200
    child = Child(
        "server",
        [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        folder,
        logs / "server.log",
    )
    running.callback(_stop, child)
    running.callback(say, "Stopping the server.")
    child.start()
    return api, child


def _free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            api = f"http://127.0.0.1:{port}/api"
            use = f"Use it with PREFECT_API_URL={api}, or give" if answers(api) else "Give"
            what = "a Prefect server answers there" if answers(api) else error.strerror
            raise InputError(f"--port {port}: taken ({what}). {use} another --port.") from error
        return int(probe.getsockname()[1])


def _wait_for_server(api: str, server: Child | None) -> None:
    if server is None:
        if not answers(api):
            raise InputError(
                f"PREFECT_API_URL={api}: no Prefect server answers there. Start it, or unset the "
                "variable: then one is started here."
            )
        return
    _until(lambda: answers(api), _SERVER_S, server)


def _until(told: Callable[[], bool], seconds: float, child: Child) -> None:
    deadline = time.monotonic() + seconds
    while not told():
        code = child.ended()
        if code is not None or time.monotonic() > deadline:
            how = f"is not ready after {seconds:.0f} s" if code is None else f"ended with {code}"
            raise Refused(f"the {child.name} {how}. It said last:\n{child.last_words()}")
        time.sleep(0.2)


def _put_pool(client: Any) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, PrefectHTTPStatusError
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name=POOL, type="process", base_job_template=template)
    try:
        with contextlib.suppress(ObjectAlreadyExists):  # as somebody may have changed it: kept
            client.create_work_pool(pool)
    except PrefectHTTPStatusError as error:
        code = error.response.status_code
        raise InputError(
            f"{client.api_url}: the server answers {code} to a new work pool. Is "
            "PREFECT_API_AUTH_STRING what it was started with?"
        ) from error


def _is_online(client: Any, since: datetime) -> bool:
    """Whether our worker has reported itself; an earlier one of its name may still be listed."""
    workers = client.read_workers_for_work_pool(POOL)
    ours = [one.last_heartbeat_time for one in workers if one.name == _worker_name()]
    return any(seen is not None and seen >= since for seen in ours)


def _deploy(book: Path, logs: Path) -> int:
    """Every deployment of the book; again and again gives the same."""
    command = [*PREFECT, "deploy", "--all", "--prefect-file", book.name]
    child = Child("deploy", command, book.parent, logs / "deploy.log")  # runs start in that folder
    child.start()
    try:
        _until(lambda: child.ended() is not None, _DEPLOY_S, child)
    finally:
        child.stop(_STOP_S)
    if code := child.ended():
        told = f"`prefect deploy --all` ended with {code}. It said last:\n{child.last_words(15)}"
        raise InputError(f"{book}: {told}")
    return len(yaml.safe_load(book.read_text("utf-8"))["deployments"])


def _stop(child: Child) -> None:
    if not child.stop(_STOP_S):
        say(f"The {child.name} did not stop within {_STOP_S} s and was killed; see {child.log}")


def _stop_worker(worker: Child) -> None:
    """Runs first, while server and worker still take down how they end."""
    import httpx
    from prefect.client.orchestration import get_client

    from flows.end_runs import end_runs, mark_dead_runs

    say("Stopping the worker.")
    try:
        with get_client(sync_client=True) as client:
            if ended := end_runs(client, _worker_name(), _RUNS_S):
                say(f"Runs under way: {ended}; retry them in the UI after the next `pairpress up`.")
            _stop(worker)
            mark_dead_runs(client, _worker_name(), "`pairpress up` was stopped. Retry the run.")
    except httpx.HTTPError as error:
        _stop(worker)
        say(f"The server did not take down how runs ended: {type(error).__name__}")


def _watch(worker: Child, server: Child | None) -> None:
    """Until a signal. A worker that was killed is started again: the night goes on."""
    again = False
    while True:
        time.sleep(0.5)
        if server is not None and (code := server.ended()) is not None:
            raise Refused(
                f"the server ended with {code}; `pairpress up` starts all again, and nothing "
                f"finished is lost. It said last:\n{server.last_words()}"
            )
        if (code := worker.ended()) is not None:
            if again and time.monotonic() - worker.began < _SOON_S:
                told = f"the worker ended with {code}, again within {_SOON_S} s of its start"
                raise Refused(f"{told}. It said last:\n{worker.last_words()}")
            say(f"The worker ended with {code} and is started again; its log is {worker.log}.")
            worker.start()
            again = True


def _next_steps(ui: str) -> str:
    prefect = "prefect" if shutil.which("prefect") else Path(sys.executable).with_name("prefect")
    return (
        f"Next: {ui}/deployments, choose one, Run > Custom run. Or from another terminal:\n"
        f"  export PREFECT_API_URL={ui}/api\n"
        f"  {prefect} deployment run release-model/NAME        # names: pairpress list\n"
        "`pairpress run` beside it uses this server too. Ctrl-C stops all of it."
    )
