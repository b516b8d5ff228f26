"""How every stage runs inside Prefect: found or made, logged in one line, shown as cached.

A task whose folder was found whole ends as Completed(name="Cached"); callers get the Folder.
"""

import base64
import json
import logging
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import httpx
from prefect import get_run_logger, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run, task_run
from prefect.states import Completed

from tasks.core import progress
from tasks.core.errors import InputError, Refused
from tasks.core.hub import HubUnavailable
from tasks.core.stage import Folder, build, looking, work_folder

P = ParamSpec("P")
R = TypeVar("R")


def stage_task(name: str, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A Prefect task whose caller gets the value, also when the task answers with a state.

    Its own seconds are recorded, so that what Prefect adds can be told apart.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            started = time.monotonic()
            result = function(*args, **kwargs)
            cached = isinstance(result, Folder) and result.cached
            record(name, time.monotonic() - started, cached)
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
    """tasks.core.stage.build, told to Prefect in one log line."""
    folder = build(stage, *args, **kwargs)
    if looking.get():
        found_finished.append(stage)
        return folder
    took = "cached" if folder.cached else f"{folder.seconds:.1f} s"
    shown = {k: v for k, v in folder.facts.items() if v is not None and not isinstance(v, dict)}
    facts = ", ".join(f"{k} {_brief(v)}" for k, v in shown.items())
    get_run_logger().info(f"{stage}: {took}, {facts}, {folder.path.name}")
    return folder


def log(text: str) -> None:
    if not looking.get():
        get_run_logger().info(text)


def _brief(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def record(stage: str, seconds: float, cached: bool) -> None:
    """Add a line to .pairpress/runs/RUN/stages.jsonl, from which the final table is printed."""
    with (run_folder() / "stages.jsonl").open("a") as file:
        line = {"stage": stage, "seconds": round(seconds, 3), "cached": cached}
        file.write(json.dumps(line) + "\n")


def markdown(key: str, title: str, text: str) -> None:
    """What a person reads of this stage on the run page."""
    if looking.get():
        return
    create_markdown_artifact(key=key, markdown=f"## {title}\n\n{text}", description=title)


def embedded(picture: Path) -> str:
    """A PNG as Markdown that holds its bytes: the server that shows the page has not our files."""
    data = base64.b64encode(picture.read_bytes()).decode()
    return f"![{picture.stem}](data:image/png;base64,{data})"


def _on_run_page(title: str, done: int, total: int | None) -> None:
    """A progress bar on the run page; Prefect keeps one a task and title."""
    if task_run.id is None or not total:
        return
    share, place = 100 * done / total, (task_run.id, title)
    key = "".join(c if c.isalnum() else "-" for c in title.lower())
    try:
        if place in _bars:
            update_progress_artifact(_bars[place], progress=share)
        else:
            _bars[place] = create_progress_artifact(share, f"progress-{key}", title)
    except httpx.HTTPError as error:  # a bar is not worth a night's work
        get_run_logger().debug(f"progress of {title} not shown: {error}")


found_finished: list[str] = []  # while looking: stages that were found whole, in their order
_bars: dict[tuple[str, str], Any] = {}
progress.listeners.append(_on_run_page)


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


class MistakesInWords(logging.Filter):
    """A user's mistake is told in words: only our own bugs deserve a traceback.

    `told_elsewhere` is set by a command line that says the sentence itself, once, at its end;
    Prefect repeats it at every level of the DAG.
    """

    told_elsewhere = False

    def filter(self, log: logging.LogRecord) -> bool:
        error = log.exc_info[1] if isinstance(log.exc_info, tuple) else None
        mistake = isinstance(error, InputError | Refused | HubUnavailable)
        if mistake:
            log.exc_info = None
        repeated = mistake or log.getMessage().startswith("Finished in state Failed(")
        return not (repeated and self.told_elsewhere)


for engine in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(engine).addFilter(MistakesInWords())
