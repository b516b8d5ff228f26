"""A stage's folder: written once, whole or not at all, found again by what made it.

in   the stage's name, what it was made from (input digests, settings), the core modules it runs
out  .pairpress/stages/NAME-DIGEST/ with the stage's files and done.json, written last

The digest covers the source of the core files a stage imports, so a changed line rebuilds what
uses it; a README or a flow is none of them. This is the only cache: delete a folder and it is built
again.
"""

import ast
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.core.digests import content_digest as content_digest
from tasks.core.digests import file_digest as file_digest
from tasks.core.errors import InputError

# Set while a plan asks what is finished: no stage is made then, and what tasks write for people
# goes into this folder, which is thrown away.
looking: ContextVar[Path | None] = ContextVar("looking", default=None)

OUR_PACKAGES = ("tasks", "expectations", "demo")
ROOT = Path(__file__).parents[2]


class Folder(BaseModel):
    """A finished stage: where it is, the sha256 over its files, and a few small facts (counts)."""

    model_config = ConfigDict(frozen=True)

    stage: str
    path: Path
    digest: str
    facts: dict[str, Any] = {}
    seconds: float = 0.0  # what making it took, in this run or an earlier one
    cached: bool = False  # True: it was found whole, nothing ran


class Unmade(Exception):
    """While looking: the first stage whose folder is not there whole."""


def work_folder() -> Path:
    """Where everything of ours lives; `rm -r` clears it. PAIRPRESS_HOME moves it elsewhere."""
    folder = Path(os.environ.get("PAIRPRESS_HOME", ".pairpress")).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made ({error.strerror}). Set PAIRPRESS_HOME to a folder you own."
        ) from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"{folder}: cannot be written. Set PAIRPRESS_HOME to a folder you own.")
    return folder


def on_terminal(text: str) -> None:
    print(text, file=sys.stderr)


def build(
    stage: str,
    made_from: Mapping[str, Any],
    sources: tuple[ModuleType | str, ...],
    make: FunctionType,
    packages: tuple[str, ...] = (),
    told: Callable[[str], None] = on_terminal,
) -> Folder:
    """Return the stage's folder, running `make(folder) -> facts` only if it is not there whole.

    `packages` are the libraries whose version is part of what made it. A second process that wants
    the same folder waits for the first, which is `told`, and then finds it done.
    """
    key = {
        "stage": stage,
        "made_from": made_from,
        "source": source_digest(*sources),
        "maker": file_digest(Path(make.__code__.co_filename)),
        "packages": {name: version(name) for name in packages},
    }
    name = f"{stage}-{hashlib.sha256(_json(key).encode()).hexdigest()[:16]}"
    stages = work_folder() / "stages"
    if looking.get():
        if (found := _whole(stages / name)) is None:
            raise Unmade(stage)
        return found
    stages.mkdir(exist_ok=True)
    with locked(stages / f".{name}.lock", told):
        if (found := _whole(stages / name)) is not None:
            (found.path / "done.json").touch()  # when it was used last: `pairpress clean` asks
            return found
        return _make(stage, stages / name, key, make)


def _whole(folder: Path) -> Folder | None:
    done = folder / "done.json"
    if not done.exists():
        return None
    found = json.loads(done.read_text())
    if found["files"] != _sizes(folder):
        return None  # somebody deleted or changed part of it: it is made again
    return Folder(
        **{k: found[k] for k in ("stage", "digest", "facts", "seconds")}, path=folder, cached=True
    )


def _make(
    stage: str, folder: Path, key: Mapping[str, Any], make: Callable[[Path], dict[str, Any]]
) -> Folder:
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)  # what a killed run left behind
    unfinished.mkdir()
    started = time.monotonic()
    facts = make(unfinished)
    done = {
        "stage": stage,
        "digest": content_digest(unfinished),
        "facts": facts,
        "seconds": round(time.monotonic() - started, 3),
        "files": _sizes(unfinished),
        "made_from": key,
    }
    (unfinished / "done.json").write_text(json.dumps(done, indent=2, ensure_ascii=False))
    if folder.exists():  # not whole any more
        shutil.rmtree(folder)
    unfinished.rename(folder)
    return Folder(path=folder, **{k: done[k] for k in ("stage", "digest", "facts", "seconds")})


def _sizes(folder: Path) -> dict[str, int]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "done.json"]
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(files)}


@contextmanager
def locked(path: Path, told: Callable[[str], None] = on_terminal) -> Iterator[None]:
    """One process at a time; the lock goes with the process that holds it, also when killed."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told(f"{path.stem[1:]}: another run makes it, waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def source_digest(*modules: ModuleType | str, leave_out: tuple[str, ...] = ()) -> str:
    """sha256 over the source of these modules and of all of ours that they import, in turn.

    A name stands for a module that is slow to import and is not needed where the stage is finished.
    `leave_out`: files, as in tasks/staged.py, that change nothing of what is made.
    """
    waiting = [
        ROOT / f"{one.replace('.', '/')}.py" if isinstance(one, str) else Path(str(one.__file__))
        for one in modules
    ]
    seen: dict[str, str] = {}
    while waiting:
        path = waiting.pop()
        name = path.relative_to(ROOT).as_posix()
        if name not in seen and name not in leave_out:
            seen[name] = file_digest(path)
            waiting += _imported(path)
    return hashlib.sha256(_json(seen).encode()).hexdigest()


def _imported(path: Path) -> list[Path]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    ours = [name for name in names if name.split(".")[0] in OUR_PACKAGES]
    return [p for name in ours if (p := ROOT / (name.replace(".", "/") + ".py")).is_file()]


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
