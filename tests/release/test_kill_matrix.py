"""kill -9 of a publisher at each request, then the same command: complete, nothing sent twice."""

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import close_session
from huggingface_hub.utils import get_session
from kilobytes import (
    Switch,
    next_folder,
    publish,
    release_folder,
    require_complete,
    standing,
    titles,
)

from localhub.client_env import Server
from tasks.core import trees
from tasks.core.errors import InputError, Refused
from tasks.core.hub import prepare_client
from tasks.core.publish import repositories
from tasks.core.rollback import rollback

FORK = multiprocessing.get_context("fork")  # a process of its own, without a second import
WRITES = {  # request that is answered, and then the process is gone
    "create the repository": ("POST", "/api/repos/create", 2),
    "make the branch": ("POST", "/branch/", 1),
    "send a large file": ("PUT", "/lfs/", 2),
    "commit on the branch": ("POST", "/commit/release%2F", 3),
    "commit on main": ("POST", "/commit/main", 1),
    "commit on main, last": ("POST", "/commit/main", 3),
    "write the tag": ("POST", "/tag/", 2),
    "write the tag, last": ("POST", "/tag/", 3),
    "remove the branch": ("DELETE", "/branch/", 1),
}


@pytest.fixture(autouse=True)
def own_client() -> Iterator[None]:
    prepare_client()
    close_session()  # children inherit no open connection
    yield


def killed_by(hook: str, doomed: Callable[[Any], bool], work: Callable[[], object]) -> bool:
    """Do the work in a process that is killed where the hook says so; whether it was."""

    def child() -> None:
        def look(event: Any) -> None:
            if doomed(event):
                os.kill(os.getpid(), signal.SIGKILL)

        get_session().event_hooks[hook].append(look)
        work()
        os._exit(0)

    process = FORK.Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def before_request(number: int) -> Callable[[Any], bool]:
    seen = Counter[str]()

    def doomed(_: Any) -> bool:
        seen["requests"] += 1
        return seen["requests"] == number

    return doomed


def after_answer(method: str, path: str, number: int) -> Callable[[Any], bool]:
    seen = Counter[str]()

    def doomed(response: Any) -> bool:
        asked = response.request
        fits = asked.method == method and path in asked.url.raw_path.decode()
        seen["answers"] += fits
        return bool(fits and seen["answers"] == number)

    return doomed


def require_finished(
    switch: Switch, name: str, content: str, folder: Path, version: str = "v1"
) -> None:
    """The same command again: complete, and each large file was received once."""
    publish(name, folder, content, version)
    require_complete(name, folder, version)
    log = [one for one in switch.log() if one["method"] == "PUT" and one["status"] == 200]
    received = Counter(str(one["path"]).partition("?")[0] for one in log)
    assert len(received) == 3 and set(received.values()) == {1}


@pytest.mark.parametrize("step", WRITES)
def test_killed_once_a_write_is_answered(
    hub: Server, tmp_path: Path, switch: Switch, step: str
) -> None:
    content = "killed-after-" + step.replace(" ", "-").replace(",", "")
    name, folder = f"pairpress/{content}", release_folder(tmp_path, content)
    doomed = after_answer(*WRITES[step])
    assert killed_by("response", doomed, lambda: publish(name, folder, content))
    require_finished(switch, name, content, folder)


@pytest.mark.slow
@pytest.mark.parametrize("step", WRITES)
def test_killed_once_a_write_of_the_next_version_is_answered(
    hub: Server, tmp_path: Path, switch: Switch, step: str
) -> None:
    content = "killed-next-after-" + step.replace(" ", "-").replace(",", "")
    name, folder = f"pairpress/{content}", next_folder(tmp_path, content)
    first = release_folder(tmp_path, f"{content}-first")
    publish(name, first, f"{content}-first")
    switch.clear()
    doomed = after_answer(*WRITES[step])
    assert killed_by("response", doomed, lambda: publish(name, folder, content, "v2"))
    require_finished(switch, name, content, folder, "v2")
    for target in repositories(name):
        assert trees.holds(target, "v1", trees.files_below(first / target.part))


@pytest.mark.slow
def test_killed_before_every_single_request(hub: Server, tmp_path: Path, switch: Switch) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        content = f"killed-before-{number}"
        name, folder = f"pairpress/{content}", release_folder(tmp_path, content)
        switch.clear()
        doomed = before_request(number)
        killed = killed_by("request", doomed, lambda: publish(name, folder, content))  # noqa: B023
        require_finished(switch, name, content, folder)
    assert number > 50  # the last one was not killed: it needed fewer requests


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/lfs/"),
        ("POST", "/commit/release%2Fv1"),
        ("POST", "/commit/main"),
        ("POST", "/tag/"),
        ("DELETE", "/branch/"),
    ],
)
def test_killed_while_the_server_is_still_at_it(
    hub: Server, tmp_path: Path, switch: Switch, method: str, path: str
) -> None:
    """The server does it after its client's death, while the next run is looking."""
    content = f"killed-within-{path.strip('/').replace('/', '-').replace('%2F', '-')}"
    name, folder = f"pairpress/{content}", release_folder(tmp_path, content)
    switch.set({"method": method, "path": path, "kind": "late", "seconds": 0.2})
    process = FORK.Process(target=publish, args=(name, folder, content))
    process.start()
    while not any(one["fault"] for one in switch.log()):
        time.sleep(0.01)
    process.kill()
    process.join()
    publish(name, folder, content)
    time.sleep(0.3)
    require_complete(name, folder, "v1")


def test_a_killed_rollback_is_finished_by_the_same_command(
    hub: Server, tmp_path: Path, switch: Switch
) -> None:
    name, old = "pairpress/killed-rollback", release_folder(tmp_path, "A")
    publish(name, old, "A")
    publish(name, release_folder(tmp_path, "B", "v2"), "B", "v2")
    doomed = after_answer("POST", "/commit/main", 2)
    assert killed_by("response", doomed, lambda: rollback(name, "v1"))
    assert [one.committed for one in rollback(name, "v1")] == [False, False, True]
    for target in repositories(name):
        assert trees.holds(target, "main", trees.files_below(old / target.part))
        assert titles(target).count("Roll back to v1") == 1


def outcome(name: str, folder: Path, content: str, barrier: Any, said: Any) -> None:
    barrier.wait()
    try:
        publish(name, folder, content)
    except (Refused, InputError) as error:
        said.put((content, str(error)))
    else:
        said.put((content, ""))


def both(name: str, first: tuple[Path, str], second: tuple[Path, str]) -> dict[str, str]:
    """What two publishers say that begin at the same moment."""
    barrier, said = FORK.Barrier(2), FORK.Queue()
    processes = [
        FORK.Process(target=outcome, args=(name, folder, content, barrier, said))
        for folder, content in (first, second)
    ]
    for process in processes:
        process.start()
    told = dict(said.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    return told


@pytest.mark.parametrize("attempt", range(3))
def test_of_two_publishers_at_once_one_wins_and_the_other_reports_the_conflict(
    hub: Server, tmp_path: Path, attempt: int
) -> None:
    name = f"pairpress/two-at-once-{attempt}"
    folders = {content: release_folder(tmp_path, content) for content in ("A", "B")}
    told = both(name, (folders["A"], "A"), (folders["B"], "B"))
    (winner,) = [content for content, said in told.items() if not said]
    (conflict,) = [said for said in told.values() if said]
    assert "nothing was overwritten" in conflict or "holds other files" in conflict
    for target in repositories(name):
        files = trees.files_below(folders[winner] / target.part)
        assert trees.holds(target, "main", files) and trees.holds(target, "v1", files)
        assert titles(target) == [f"Release v1: {target.part}", "initial commit"]
    assert all(set(tags) == {"v1"} for _, tags, _ in standing(name).values())
