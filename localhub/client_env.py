"""A running localhub -> the environment in which the unchanged clients talk to it.

in   url, token, a folder for their caches; or the root of a store to serve meanwhile
out  variables to set before huggingface_hub is imported
     https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
"""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from localhub.state import read_state

_START_S, _STOP_S = 20, 10


@dataclass(frozen=True)
class Server:
    url: str
    token: str
    root: Path


def client_environment(url: str, token: str, home: Path) -> dict[str, str]:
    """For os.environ or a subprocess, before the import: the libraries read these only then."""
    return {
        "HF_ENDPOINT": url,
        "HF_TOKEN": token,
        # Caches of their own: they keep repositories by name, and the public Hub has others by it.
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_DATASETS_CACHE": str(home / "datasets"),
        "HF_HUB_DISABLE_XET": "1",  # the client does not ask whether a server speaks Xet
        "HF_HUB_OFFLINE": "0",  # offline would block loopback too
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }


@contextmanager
def running(root: Path, faults: bool = False, shared: bool = False) -> Iterator[Server]:
    """The localhub that serves `root` already, or one that is started and stopped here.

    One that another caller holds is not shared, since it stops with its holder: two servers on one
    folder are fine. `shared`: this holder stays, so others may use it meanwhile. `faults`: one of
    its own, with the switch of localhub/faults.py.
    """
    root = root.resolve()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    switches = [*(["--faults"] if faults else []), *(["--shared"] if shared else [])]
    with (root / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one held start at a time
        found = None if faults else _answering(root)
        server, process = (found, None) if found else _start(root, switches)
    try:
        yield server
    finally:
        if process is not None:
            _stop(process)


def _start(root: Path, switches: list[str]) -> tuple[Server, subprocess.Popen[bytes]]:
    log = root / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "localhub", "--root", str(root), "--held", *switches],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for its holder, which stops it last
            cwd=Path(__file__).parent.parent,  # where `-m localhub` is found, installed or not
        )
    try:
        return _started(root, process, log), process
    except BaseException:
        _stop(process)
        raise


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _started(root: Path, process: subprocess.Popen[bytes], log: Path) -> Server:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        server = _answering(root, process.pid)
        if server is not None:
            return server
        time.sleep(0.05)
    ended = f"ended with {process.returncode}" if process.poll() is not None else "did not answer"
    said = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(
        f"localhub on {root} {ended} within {_START_S} s. It said:\n{said}\n"
        f"Start it by hand to see more: {sys.executable} -m localhub --root {root}"
    )


def _answering(root: Path, pid: int | None = None) -> Server | None:
    """The server that server.json names, if it is alive and knows this root's token."""
    state, secret = read_state(root), root / "token"
    if state is None or not secret.exists():
        return None
    token = secret.read_text().strip()
    if state.pid is None or pid not in (None, state.pid) or (not pid and state.held):
        return None
    try:
        os.kill(state.pid, 0)  # after a crash, somebody else may listen there: no token for them
    except OSError:
        return None
    asked = Request(f"{state.url}/api/whoami-v2", headers={"Authorization": f"Bearer {token}"})
    try:
        # No proxy: it could not reach the loopback of this machine, and must not see the token.
        with build_opener(ProxyHandler({})).open(asked, timeout=5):
            return Server(state.url, token, root)
    except (URLError, OSError):
        return None
