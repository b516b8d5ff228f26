"""What of the work folder has not been used for long, and may go: finished stages, checkpoints,
runs, Prefect's results, leftovers of killed runs.

in   .pairpress, a number of days
out  what would go with its size, what stays and why; removed where asked

A stage's done.json is touched by every run that uses it, so its time is that of its last use. What
a run needs that has not ended stays, and so does what the last release was made from: a run that
waits for an approval has no process. Everything that goes can be made again.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from itertools import chain
from pathlib import Path
from stat import S_ISDIR
from typing import Any

from tasks.core.references import STARTED_FROM

DAY = 86_400.0  # seconds
LONGEST_WAIT = 90 * DAY  # for an approval, as in settings.Release; then Prefect has ended the run
ENDED = "ended.json"
IN_STAGES = re.compile(r'/stages/([^/"]+)"')  # the folder of a stage that a reference names


@dataclass(frozen=True)
class Old:
    kind: str
    path: Path
    size: int  # bytes
    used: float  # seconds since 1970


@dataclass(frozen=True)
class Found:
    goes: list[Old]
    stays: dict[str, int]  # why, and how many


def note_end(run: Path, state: str) -> None:
    """In the folder of a run, if it has one: what it used may go, in time."""
    if run.is_dir():
        (run / ENDED).write_text(json.dumps({"state": state, "at": time.time()}))


def look(work: Path, days: float) -> Found:
    """Changes nothing."""
    now = time.time()
    before = now - days * DAY
    runs = {one.name: one for one in _entries(work / "runs") if not one.is_symlink()}
    last = (work / "runs" / "latest").resolve().name
    unfinished = {name for name, one in runs.items() if _goes_on(one, now)}
    unfinished |= {
        one.name for one in _proposed(runs.values()) if now - _newest(one) < LONGEST_WAIT
    }
    needed = {name for one in unfinished for name in _with_earlier(one, runs)}
    of_last = {stage for name in _with_earlier(last, runs) for stage in _named(runs[name])}
    of_unfinished = {stage for name in needed for stage in _named(runs[name])}
    goes: list[Old] = []
    stays: dict[str, int] = {}

    def sort(kind: str, path: Path, used: float, kept: str | None) -> None:
        kept = "a link to elsewhere" if path.is_symlink() else kept
        kept = "used since" if used >= before else kept
        if kept:
            stays[kept] = stays.get(kept, 0) + 1
        else:
            goes.append(Old(kind, path, _size(path), used))

    for one in _entries(work / "stages"):
        done, name = one / "done.json", one.name.removeprefix(".").removesuffix(".unfinished")
        if not one.is_dir():
            continue  # a lock
        kept = "a run makes it now" if _is_held(_lock_of(work, name)) else None
        if not one.name.startswith("."):
            if name in of_last:
                kept = "the last release was made from it"
            if name in of_unfinished:
                kept = "a run that has not ended needs it"
        kind = "leftover of a killed run" if one.name.startswith(".") else "stage"
        sort(kind, one, _time(done) if done.exists() else _newest(one), kept)
    started = min((_oldest(runs[name]) for name in unfinished), default=now)
    for one in _entries(work / "training"):
        kept = "a run that has not ended may go on from it" if _newest(one) >= started else None
        kept = "a run makes it now" if _is_held(_lock_of(work, one.name)) else kept
        sort("checkpoints", one, _newest(one), kept)
    for name, one in runs.items():
        kept = "a run that has not ended needs it" if name in needed else None
        kept = "a run that has not ended" if name in unfinished else kept
        sort("run", one, _newest(one), "the last release" if name == last else kept)
    for one in _entries(work / "prefect" / "results"):
        kept = "a run that has not ended needs it" if _time(one) >= started else None
        sort("result of Prefect", one, _time(one), kept)
    return Found(goes, stays)


def remove(work: Path, found: Found) -> tuple[int, list[str]]:
    """Bytes that went, and what could not go. What a run took up meanwhile stays."""
    freed, failed = 0, []
    for one in found.goes:
        name = one.path.name.removeprefix(".").removesuffix(".unfinished")
        with _held(_lock_of(work, name)) as ours:
            if not ours or _used_since(one):
                continue
            try:
                shutil.rmtree(one.path) if one.path.is_dir() else one.path.unlink()
            except OSError as error:
                failed.append(f"{one.path}: {error.strerror}")
            else:
                freed += one.size
    return freed, failed


def _used_since(one: Old) -> bool:
    done = one.path / "done.json"
    return done.exists() and _time(done) > one.used


def _goes_on(run: Path, now: float) -> bool:
    """Without an end, or with stages after it, as after a retry; one that was killed unseen counts
    as long as an approval may take."""
    said, ended = run / "stages.jsonl", run / ENDED
    if now - _newest(run) > LONGEST_WAIT:
        return False
    return not ended.exists() or (said.exists() and _time(said) > _time(ended))


def _proposed(runs: Iterable[Path]) -> Iterable[Path]:
    """Of each release that waits for people to merge it, the newest run: the same command then
    finishes it, from what that run made. One that a later run has finished waits no more."""
    waits: dict[tuple[str, str], Path] = {}
    for run in sorted(runs, key=_newest):
        try:
            record = json.loads((run / "release.json").read_text())
        except (FileNotFoundError, ValueError):
            continue
        for one in record.get("repositories", {}).values():
            waits.pop((one["repo"], record["version"]), None)
        for one in record.get("proposals", []):
            if one["status"] == "open":
                waits[one["repo"], record["version"]] = run
    return waits.values()


def lines_of(run: Path) -> list[dict[str, Any]]:
    """Its stages.jsonl, but for a line that a kill or a full disk left half written."""
    said = run / "stages.jsonl"
    lines = []
    for line in said.read_text("utf-8", "replace").splitlines() if said.exists() else []:
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def _with_earlier(name: str, runs: dict[str, Path]) -> set[str]:
    """This run, the one that it started from, and so on."""
    found: set[str] = set()
    while name in runs and name not in found:
        found.add(name)
        started = runs[name] / STARTED_FROM
        name = started.read_text() if started.exists() else ""
    return found


def _named(run: Path) -> set[str]:
    """Folders of the stages that it used, and of those that it took over from an earlier run."""
    used = {folder for line in lines_of(run) for folder in line.get("folders", ())}
    references = (run / "references").glob("*.json")
    return used.union(*(IN_STAGES.findall(one.read_text("utf-8")) for one in references))


def _lock_of(work: Path, name: str) -> Path:
    return work / "stages" / f".{name}.lock"


def _is_held(lock: Path) -> bool:
    with _held(lock) as ours:
        return not ours


@contextmanager
def _held(lock: Path) -> Iterator[bool]:
    """Whether nobody else holds it; as long as this lasts, nobody does."""
    if not lock.exists():
        yield True
        return
    with lock.open("r+") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _size(path: Path) -> int:
    """Bytes on this disk: what is linked from elsewhere counts there."""
    return sum(one.st_size for one in _within(path) if not S_ISDIR(one.st_mode))


def _time(path: Path) -> float:
    return path.lstat().st_mtime


def _newest(path: Path) -> float:
    return max((one.st_mtime for one in _within(path)), default=time.time())


def _oldest(path: Path) -> float:
    return min((one.st_mtime for one in _within(path)), default=time.time())


def _within(path: Path) -> Iterator[os.stat_result]:
    """Of it and of all in it; what a training rotates away meanwhile is not there."""
    inside = (Path(at, name) for at, folders, files in os.walk(path) for name in folders + files)
    for one in chain([path], inside):
        with suppress(FileNotFoundError):
            yield one.lstat()
