"""A real Prefect server, process pool and worker, shared by all tests of a session that ask.

They end where the next file needs none: a server is never idle. tests/conftest.py puts the files
that do before the others.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_server import server_running, worker_running

running = contextlib.ExitStack()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is not None and not any(
        one.get_closest_marker("server") for one in item.session.items if one.path == nextitem.path
    ):
        running.close()


@pytest.fixture(scope="session")
def server(hub: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a running server with its own database; its work folder is its own too."""
    with running:
        yield running.enter_context(server_running(tmp_path_factory.mktemp("server")))


@pytest.fixture(scope="session")
def worker(server: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a running worker of `local-process`, which takes a run within seconds."""
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    running.enter_context(worker_running(server, log))
    return log
