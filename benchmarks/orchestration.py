"""python benchmarks/orchestration.py [--repeat 5] [--json FILE]

What Prefect costs. First one whole demo on an empty folder: seconds of each stage, and what is none
of them. With a running server: the demo's command again, where nothing has changed; the whole demo
with all of its sub-flows, its base model taken over, and what of its time no stage took, which is
what its core functions would not have taken by themselves.

Then its data and training flows, all stages finished, so that nothing but the way they are called
differs: as plain functions, by a running server, by one started for the run; and as many empty
flows and tasks, which is what Prefect takes by itself. The ways take turns, each time in a process
of its own after one call to warm up; shown are medians with their range.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from page import Goal, Section, told

from tasks.core.up_state import answers

ROOT = Path(__file__).resolve().parents[1]
PORT = 4271
SERVER = f"http://127.0.0.1:{PORT}/api"
PREFECT = str(Path(sys.executable).with_name("prefect"))
EMPTY = "empty flows, a running server"
KEPT = "a running server"
WAYS = {
    "plain functions": {},
    KEPT: {"PREFECT_API_URL": SERVER},
    EMPTY: {"PREFECT_API_URL": SERVER},
    "a server of its own": {},
}
FLOWS, TASKS = 2, 14  # that the data and training flows of the demo are
ALL_FLOWS = 6  # of the whole demo: its own, seeding, data, training, staging, promoting
PLAIN = next(iter(WAYS))
WHY_LONGER = "the command imports Prefect and huggingface_hub, and the demo starts a Hub of its own"


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--json", type=Path)
    options.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.child:
        print(json.dumps(_empty() if asked.child == EMPTY else _called(asked.child == PLAIN)))
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")} | {
            "PAIRPRESS_HOME": str(home / "work"),
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            "PREFECT_LOGGING_TO_CONSOLE": "false",
            "DO_NOT_TRACK": "1",
        }
        began = time.monotonic()
        command = [sys.executable, "-m", "flows", "demo"]
        _output(command, environment)
        stages, tasks = _stages(home / "work", time.monotonic() - began)
        assert tasks == TASKS, tasks
        with server(environment):
            again = []
            for _ in range(asked.repeat + 1):  # the first one imports what the disk holds
                began = time.monotonic()
                _output(command, environment | {"PREFECT_API_URL": SERVER})
                again.append(time.monotonic() - began)
            whole = [_whole(home, environment, command) for _ in range(asked.repeat)]
            ways = _ways(home, environment, asked.repeat)
    found = _section(stages, ways, again[1:], whole)
    for row in (found.columns, *found.rows):
        print("  ".join(row))
    print(found.after)
    for goal in found.goals:
        print("met   " if goal.met else "missed", goal.what, goal.got)
    found.write(asked.json)


def _whole(home: Path, environment: dict[str, str], command: list[str]) -> float:
    """Seconds of a release that were no stage's, on a Hub and in a work folder of its own."""
    work = home / "whole"
    for base in (home / "work" / "stages").glob("tiny-base-*"):
        shutil.copytree(base, work / "stages" / base.name)
    _output(command, environment | {"PREFECT_API_URL": SERVER, "PAIRPRESS_HOME": str(work)})
    (run,) = (one for one in (work / "runs").iterdir() if not one.is_symlink())
    seconds = json.loads((run / "release.json").read_text())["seconds"]
    shutil.rmtree(work)
    (took,) = (one["seconds"] for one in seconds if one["stage"] == "prefect")
    return float(took)


def _empty() -> list[float]:
    from prefect import flow, task

    @task
    def nothing() -> None: ...

    @flow
    def empty() -> None:
        for _ in range(TASKS // FLOWS):
            nothing()

    return [_seconds(lambda: [empty() for _ in range(FLOWS)]) for _ in range(2)]


def _called(plain: bool) -> list[float]:
    """Seconds of two calls; the first warms up, and starts a server where there is none."""
    from flows.align_model import align_model
    from flows.prepare_data import prepare_data
    from tasks.core.models import resolve_model
    from tasks.core.recipes import read_recipe
    from tasks.finished import finished_stages

    recipe = read_recipe("demo", ROOT / "prefect.yaml")
    base = resolve_model(recipe.base.model, recipe.base.revision)
    repository = "pairpress/nothing-there"  # no last release to compare with

    def by_prefect() -> None:
        align_model(repository, base, prepare_data(base, recipe), recipe)

    def by_hand() -> None:
        align_model.fn(repository, base, prepare_data.fn(base, recipe), recipe)

    def looked() -> None:
        _, missing, trouble = finished_stages(by_hand)
        assert (missing, trouble) == (None, None), (missing, trouble)

    return [_seconds(looked if plain else by_prefect) for _ in range(2)]


def _stages(work: Path, whole: float) -> tuple[list[tuple[str, float]], int]:
    """Seconds of each stage, and how many of them are those of the data and training flows."""
    record = json.loads((work / "runs" / "latest" / "release.json").read_text())
    rows = [(one["stage"], one["seconds"]) for one in record["seconds"]]
    rows = [("Prefect's own share" if name == "prefect" else name, took) for name, took in rows]
    rows.append(("start-up: imports, servers", whole - sum(took for _, took in rows)))
    names = [name for name, _ in rows]
    return [*rows, ("the whole command", whole)], names.index("merge") + 1 - names.index("load")


def _ways(home: Path, environment: dict[str, str], repeat: int) -> dict[str, list[list[float]]]:
    """Way -> of each turn the seconds of two calls, the first of them with the imports."""
    from localhub.client_env import client_environment, running

    found: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    with running(home / "work" / "hub") as hub:
        environment |= client_environment(hub.url, hub.token, home / "work" / "hf")
        for _ in range(repeat):
            for way, more in WAYS.items():
                command = [sys.executable, __file__, "--child", way]
                output = _output(command, environment | more | {"PYTHONPATH": str(ROOT)})
                found[way].append(json.loads(output.splitlines()[-1]))
    return found


def _section(
    stages: list[tuple[str, float]],
    ways: dict[str, list[list[float]]],
    again: list[float],
    whole: list[float],
) -> Section:
    later = {way: [turn[1] for turn in turns] for way, turns in ways.items()}
    more = {
        way: [one - other for one, other in zip(took, later[PLAIN], strict=True)]
        for way, took in later.items()
    }
    rows = []
    for way, turns in ways.items():
        apart = "" if way in (PLAIN, EMPTY) else told(more[way], 2, " s")
        first = told([turn[0] for turn in turns], 1, " s")
        rows.append([way, first, told(later[way], 2, " s"), apart])
    listed = "".join(f"| {name} | {took:.1f} s |\n" for name, took in stages)
    return Section(
        title="Orchestration",
        text="What Prefect costs: the data and training flows of the demo with all of their "
        f"{TASKS} stages finished, so that nothing but the way they are called differs; beside "
        f"them {FLOWS} empty flows of {TASKS // FLOWS} empty tasks each. The ways take turns, "
        f"{len(again)} in all, each time in a process of its own.",
        columns=("called as", "first call", "second call", "more than plain"),
        rows=rows,
        goals=[
            Goal(
                "the whole DAG with its sub-flows and a running server: at most 5 s of no stage",
                told(whole, 1, " s"),
                statistics.median(whole) <= 5,
                f"each of its {ALL_FLOWS} flows waits about a second for Prefect's heartbeat: "
                f"{ALL_FLOWS} empty ones of {TASKS // FLOWS} empty tasks each would take "
                f"{told([took * ALL_FLOWS / FLOWS for took in later[EMPTY]], 1, ' s')}",
            ),
            Goal(
                "data and training with a running server: at most 5 s more than plain functions",
                told(more[KEPT], 2, " s"),
                statistics.median(more[KEPT]) <= 5,
            ),
            Goal(
                "a repeated run with nothing changed: under 8 s with a running server",
                told(again, 1, " s"),
                statistics.median(again) < 8,
                WHY_LONGER,
            ),
        ],
        after="A synchronous flow waits about a second for Prefect's heartbeat; the empty ones do "
        "nothing else.\n\nBy a running server a whole release, with its sub-flows, takes "
        f"{told(whole, 1, ' s')} that are no stage's, and the same command again, with nothing "
        f"to do, {told(again, 1, ' s')}.\n\n"
        "The whole demo on an empty folder, by a server of its own:\n\n"
        f"| stage | |\n|---|---:|\n{listed}",
    )


@contextmanager
def server(environment: dict[str, str]) -> Iterator[None]:
    command = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(PORT)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    home = {"PREFECT_HOME": f"{environment['PREFECT_HOME']}-server"}
    with subprocess.Popen(command, env=environment | home, **quiet) as process:
        try:
            while not answers(SERVER):
                assert process.poll() is None, f"no server at {SERVER}: is port {PORT} taken?"
                time.sleep(0.2)
            yield
        finally:
            process.terminate()


def _output(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _seconds(call: Callable[[], None]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
