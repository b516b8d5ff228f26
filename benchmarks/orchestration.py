"""python benchmarks/orchestration.py [--repeat 5] [--json FILE]

What Prefect costs. First one whole demo on an empty folder: seconds of each stage, and what is none
of them. Then its data and training flows again, all stages finished, so that nothing but the way
they are called differs: as plain functions, by a running server, by one started for the run. Each
way has a process of its own; times are medians with their range, after one call to warm up. Last
the demo's command again, where a server runs and nothing has changed.
"""

import argparse
import json
import os
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
WAYS = {
    "plain functions": {},
    "a running server": {"PREFECT_API_URL": SERVER},
    "a server of its own": {},
}
PLAIN = next(iter(WAYS))
WHY_LONGER = "the command imports Prefect and huggingface_hub, and the demo starts a Hub of its own"


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--json", type=Path)
    options.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.child:
        print(json.dumps(_called(asked.child == PLAIN, asked.repeat)))
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
        with server(environment):
            again = []
            for _ in range(asked.repeat + 1):  # the first one imports what the disk holds
                began = time.monotonic()
                _output(command, environment | {"PREFECT_API_URL": SERVER})
                again.append(time.monotonic() - began)
            ways = _ways(home, environment, asked.repeat)
    found = _section(stages, tasks, ways, again[1:])
    for row in (found.columns, *found.rows):
        print("  ".join(row))
    print(found.after)
    for goal in found.goals:
        print("met   " if goal.met else "missed", goal.what, goal.got)
    found.write(asked.json)


def _called(plain: bool, repeat: int) -> list[float]:
    """Seconds of each call; the first warms up, and starts a server where there is none."""
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

    return [_seconds(looked if plain else by_prefect) for _ in range(repeat + 1)]


def _stages(work: Path, whole: float) -> tuple[list[tuple[str, float]], int]:
    """Seconds of each stage, and how many of them are those of the data and training flows."""
    record = json.loads((work / "runs" / "latest" / "release.json").read_text())
    rows = [(one["stage"], one["seconds"]) for one in record["seconds"]]
    rows = [("Prefect's own share" if name == "prefect" else name, took) for name, took in rows]
    rows.append(("start-up: imports, servers", whole - sum(took for _, took in rows)))
    names = [name for name, _ in rows]
    return [*rows, ("the whole command", whole)], names.index("merge") + 1 - names.index("load")


def _ways(home: Path, environment: dict[str, str], repeat: int) -> dict[str, list[float]]:
    """Way -> seconds of its calls, the first of them with the imports."""
    from localhub.client_env import client_environment, running

    with running(home / "work" / "hub") as hub:
        environment |= client_environment(hub.url, hub.token, home / "work" / "hf")
        found = {}
        for way, more in WAYS.items():
            command = [sys.executable, __file__, "--child", way, "--repeat", str(repeat)]
            path = {"PYTHONPATH": str(ROOT)}
            found[way] = json.loads(_output(command, environment | more | path).splitlines()[-1])
        return found


def _section(
    stages: list[tuple[str, float]], tasks: int, ways: dict[str, list[float]], again: list[float]
) -> Section:
    more = {
        way: [one - other for one, other in zip(took[1:], ways[PLAIN][1:], strict=True)]
        for way, took in ways.items()
    }
    kept = more["a running server"]
    rows = []
    for way, (first, *later) in ways.items():
        apart = "" if way == PLAIN else told(more[way], 2, " s")
        each = "" if way == PLAIN else f"{statistics.median(more[way]) / tasks:.2f} s"
        rows.append([way, f"{first:.1f} s", told(later, 2, " s"), apart, each])
    listed = "".join(f"| {name} | {took:.1f} s |\n" for name, took in stages)
    return Section(
        title="Orchestration",
        text="What Prefect costs: the data and training flows of the demo with all of their "
        f"{tasks} stages finished, so that nothing but the way they are called differs. Each "
        "way is a process of its own.",
        columns=("called as", "first call", "later ones", "more than plain", "for each task"),
        rows=rows,
        goals=[
            Goal(
                "Prefect with a running server: at most 5 s more than plain functions",
                told(kept, 2, " s"),
                statistics.median(kept) <= 5,
            ),
            Goal(
                "a repeated run with nothing changed: under 8 s with a running server",
                told(again, 1, " s"),
                statistics.median(again) < 8,
                WHY_LONGER,
            ),
        ],
        after="Two synchronous flows wait about a second each for Prefect's heartbeat.\n\nThe "
        f"whole demo on an empty folder, by the same call:\n\n| stage | |\n|---|---:|\n{listed}",
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
