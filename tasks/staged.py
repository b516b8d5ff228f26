"""How every stage runs inside Prefect: found or made, logged in one line, shown as cached.

    stage=load seconds=0.412 cached=false rows=100 digest=0b9c... folder=load-5d1e...

A task whose folder was found whole ends as Completed(name="Cached"); callers get the Folder.
"""

import json
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from prefect import get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from tasks import logs as logs  # what a run says is settled before its first stage
from tasks.core import logfmt
from tasks.core.hub import HubUnavailable
from tasks.core.stage import Folder, build, looking, work_folder

P = ParamSpec("P")
R = TypeVar("R")
SHORT = 60  # characters of a fact that stands in the log


def stage_task(name: str, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A Prefect task whose caller gets the value, also when the task answers with a state.

    Its own seconds are recorded, so that what Prefect adds can be told apart.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            used: list[Folder] = []
            started = time.monotonic()
            token = _used.set(used)
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                _tell(name, time.monotonic() - started, {"failed": type(error).__name__})
                raise
            finally:
                _used.reset(token)
            cached = bool(used) and all(folder.cached for folder in used)
            record(name, time.monotonic() - started, cached, used)
            _tell(name, time.monotonic() - started, _facts(used))
            return Completed(name="Cached", data=result) if cached else result

        inner = task(timed, name=name, **options)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if looking.get():  # outside of any run
                return function(*args, **kwargs)
            result = inner(*args, **kwargs)
            return result.result() if isinstance(result, State) else result

        return call

    return decorate


def staged(stage: str, *args: Any, **kwargs: Any) -> Folder:
    """tasks.core.stage.build; which folders a run used is what `pairpress clean` goes by."""
    folder = build(stage, *args, told=log, **kwargs)
    if looking.get():
        found_finished.append(stage)
        return folder
    _used.get().append(folder)
    return folder


def _tell(name: str, seconds: float, told: dict[str, logfmt.Value]) -> None:
    own = {"stage": name.replace(" ", "-"), "seconds": round(seconds, 3)}
    get_run_logger().info(logfmt.line(own | told))


def _facts(used: list[Folder]) -> dict[str, logfmt.Value]:
    """Counts and short words of a stage's folder, its digest, its name; measures have tables."""
    told: dict[str, logfmt.Value] = {}
    for folder in used:
        told["cached"] = folder.cached
        facts = folder.facts.items()
        told |= {k: v for k, v in facts if isinstance(v, int) or _is_short(v)}
        told |= {"digest": folder.digest, "folder": folder.path.name}
    return told


def log(text: str) -> None:
    if not looking.get():
        get_run_logger().info(text)


def _is_short(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= SHORT


def record(stage: str, seconds: float, cached: bool, used: list[Folder]) -> None:
    """Add a line to .pairpress/runs/RUN/stages.jsonl, from which the final table is printed."""
    with (run_folder() / "stages.jsonl").open("a") as file:
        line = {"stage": stage, "seconds": round(seconds, 3), "cached": cached}
        line["folders"] = [folder.path.name for folder in used]
        line["ended"] = time.time()
        file.write(json.dumps(line) + "\n")


found_finished: list[str] = []  # while looking: stages that were found whole, in their order
_used: ContextVar[list[Folder]] = ContextVar("_used")  # by the stage that runs


def run_folder() -> Path:
    """What this run leaves for people: .pairpress/runs/RUN, one for all its sub-flows."""
    if (thrown_away := looking.get()) is not None:
        return thrown_away
    run = work_folder() / "runs" / str(flow_run.root_flow_run_id)
    run.mkdir(parents=True, exist_ok=True)
    return run


def passing(_task: Any, _run: Any, state: State) -> bool:
    """Whether a failure may pass by itself: retried, unlike a user's mistake."""
    return isinstance(state.result(raise_on_failure=False), HubUnavailable)
