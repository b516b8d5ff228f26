"""What many tests share: a running localhub, one whole demo, the real data beside the project."""

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ground import GROUND, ROOT, URL, pairpress


@pytest.fixture(scope="session")
def hub() -> Iterator[object]:
    """A real localhub at HF_ENDPOINT, its token in HF_TOKEN; localhub.client_env.Server."""
    from localhub.client_env import running

    root = Path(tempfile.mkdtemp(prefix="pairpress-hub-", dir=_quick_disk()))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    (root / "server.json").write_text(json.dumps({"url": URL, "pid": None}))  # take this port
    with running(root, faults=True) as server:
        assert server.url == URL
        os.environ["HF_TOKEN"] = server.token
        yield server
        del os.environ["HF_TOKEN"]


def _quick_disk() -> Path:
    """Memory, where there is enough: localhub syncs whatever it keeps, hundreds of times a test."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 2**30 else GROUND


@pytest.fixture
def real_data() -> Path:
    """Data sets published by others, beside the repository; never part of it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is missing")
    return folder


@pytest.fixture(scope="session")
def demo(hub: object) -> dict:
    """The release of one whole `pairpress demo` against the tests' Hub, shared by slow tests."""
    done = pairpress("demo")
    assert done.returncode == 0, done.stderr[-5000:]
    record = json.loads((GROUND / "work" / "runs" / "latest" / "release.json").read_text())
    return {"release": record, "output": done.stdout, "log": done.stderr}


@pytest.fixture(scope="session")
def tiny_base(demo: dict) -> Path:
    """Folder of the tiny chat model as the demo trained it."""
    return next((GROUND / "work" / "stages").glob("tiny-base-*"))
