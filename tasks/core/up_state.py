"""Which Prefect server `pairpress up` runs, for the commands that come beside it.

in   .pairpress/up.json {"api", "pid"}, there while it runs
out  the address of its API, if a server answers there; https://docs.prefect.io/v3/api-ref/rest-api
"""

import json
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

LOCK = ".up.lock"


def answers(api: str) -> bool:
    """Whether a Prefect server is at this address. No proxy: it is on this machine."""
    try:
        with build_opener(ProxyHandler({})).open(f"{api}/health", timeout=5) as reply:
            return bool(reply.read() == b"true")
    except (URLError, OSError, ValueError):
        return False


def running_api(work: Path) -> str | None:
    """The server of a `pairpress up` on this work folder, if one is running."""
    told = told_by(work)
    return told["api"] if told is not None and _is_up(work) and answers(told["api"]) else None


def _is_up(work: Path) -> bool:
    """Its lock goes with it: a left-over may name a port where another server answers by now."""
    try:
        with (work / LOCK).open("r+") as lock:
            flock(lock, LOCK_EX | LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def told_by(work: Path) -> dict[str, str] | None:
    try:
        told: dict[str, str] = json.loads((work / "up.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return told
