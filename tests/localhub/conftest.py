"""A running localhub with three users, and the real clients in fresh processes that talk to it."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from localhub.access import add_user
from localhub.client_env import Server, client_environment, running

_ALICE, _READER = "hf_aliceWritesToHerOwnAndToAcme", "hf_pairpressButOnlyToRead"


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("localhub")
    add_user(root, _ALICE, "alice", ["acme"], "write")
    add_user(root, _READER, "pairpress", [], "read")
    with running(root) as server:
        yield server


@pytest.fixture(scope="session")
def connect() -> Callable[..., httpx.Client]:
    """Plain HTTP to a localhub, as the user of the token, or as nobody."""

    def connected(server: Server, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=30)

    return connected


@pytest.fixture(scope="session")
def owner(hub: Server, connect: Callable[..., httpx.Client]) -> Iterator[httpx.Client]:
    with connect(hub, hub.token) as client:
        yield client


@pytest.fixture(scope="session")
def alice(hub: Server, connect: Callable[..., httpx.Client]) -> Iterator[httpx.Client]:
    with connect(hub, _ALICE) as client:
        yield client


@pytest.fixture(scope="session")
def reader(hub: Server, connect: Callable[..., httpx.Client]) -> Iterator[httpx.Client]:
    with connect(hub, _READER) as client:
        yield client


@pytest.fixture(scope="session")
def nobody(hub: Server, connect: Callable[..., httpx.Client]) -> Iterator[httpx.Client]:
    with connect(hub) as client:
        yield client


@pytest.fixture
def client_says(hub: Server, tmp_path: Path) -> Callable[..., Any]:
    """Runs scripts as one with the unchanged libraries and gives back what they bound to `said`.

    A process of its own, since they read the environment at import. It knows the tokens of the
    other users as `reader_token` and `alice_token`.
    """

    def run(*scripts: str) -> Any:
        told = f"reader_token, alice_token = {_READER!r}, {_ALICE!r}"
        shown = "import json\nprint('said:' + json.dumps(said))"
        code = "\n".join((told, *map(textwrap.dedent, scripts), shown))
        environment = client_environment(hub.url, hub.token, tmp_path / "home")
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.rpartition("said:")[2])

    return run
