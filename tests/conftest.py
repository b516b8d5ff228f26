"""What many tests share: a running localhub, one whole demo, the real data beside the project."""

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from ground import GROUND, ROOT, URL, pairpress

# Minutes each: begun first, or the last worker is left alone with one of them.
LONGEST = (
    *("test_resume", "test_rehearsals", "test_up"),  # the last two while the first one's demo runs
    *("test_newcomer", "test_deployments_run"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, then what starts a server or trains, then the quick tests."""

    def rank(item: pytest.Item) -> int:
        if item.path.stem in LONGEST:
            return LONGEST.index(item.path.stem)
        marks = {mark.name for mark in item.iter_markers()}
        return len(LONGEST) + (not marks & {"server", "browser"}) + (not marks & {"slow", "server"})

    slowest: dict[Path, int] = {}
    for item in items:
        slowest[item.path] = min(rank(item), slowest.get(item.path, 99))
    items.sort(key=lambda item: slowest[item.path])


@pytest.fixture(scope="session")
def hub() -> Iterator[object]:
    """A real localhub at HF_ENDPOINT, its token in HF_TOKEN; localhub.client_env.Server."""
    from localhub.client_env import running

    (HUB / "server.json").write_text(json.dumps({"url": URL, "pid": None}))  # take this port
    with running(HUB, faults=True) as server:
        assert server.url == URL
        os.environ["HF_TOKEN"] = server.token
        yield server
        del os.environ["HF_TOKEN"]


def _quick_disk() -> Path:
    """Memory, where there is enough: localhub syncs whatever it keeps, hundreds of times a test."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 2**30 else GROUND


HUB = Path(tempfile.mkdtemp(prefix="pairpress-hub-", dir=_quick_disk()))  # where it keeps all
atexit.register(shutil.rmtree, HUB, ignore_errors=True)


@pytest.fixture
def real_data() -> Path:
    """Data sets published by others, beside the repository; never part of it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is missing")
    return folder


@pytest.fixture(scope="session")
def demo(hub: object, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The release of one whole `pairpress demo` against the tests' Hub, shared by slow tests.

    One of several test processes runs it; the others take over what it left, on disk and Hub.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return _whole_demo()
    kept = tmp_path_factory.getbasetemp().parent / "demo"
    places = {"stages": GROUND / "work" / "stages", "runs": GROUND / "work" / "runs"}
    places |= {"repos": HUB / "repos", "blobs": HUB / "blobs"}
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            made = _whole_demo()
            for name, place in places.items():
                shutil.copytree(place, kept / name, symlinks=True)
            (kept / "demo.json").write_text(json.dumps(made))
            (kept / "url").write_text(URL)
            return made
    (places["runs"] / "latest").unlink(missing_ok=True)
    for name, place in places.items():
        shutil.copytree(kept / name, place, symlinks=True, dirs_exist_ok=True)
    record, theirs = places["runs"] / "latest" / "release.json", (kept / "url").read_text()
    record.write_text(record.read_text().replace(theirs, URL))
    return dict(json.loads((kept / "demo.json").read_text().replace(theirs, URL)))


def _whole_demo() -> dict:
    done = pairpress("demo")
    assert done.returncode == 0, done.stderr[-5000:]
    record = json.loads((GROUND / "work" / "runs" / "latest" / "release.json").read_text())
    return {"release": record, "output": done.stdout, "log": done.stderr}


@pytest.fixture(scope="session")
def tiny_base(demo: dict) -> Path:
    """Folder of the tiny chat model as the demo trained it."""
    return next((GROUND / "work" / "stages").glob("tiny-base-*"))
