"""python benchmarks/orchestration.py [--repeat 5]

What Prefect costs. First one whole demo on an empty folder: seconds of each stage, and what is none
of them. Then its data and training flows again, all stages finished, so that nothing but the way
they are called differs: as plain functions, by a running server, by one started for the run. Each
way has a process of its own; times are medians with their range, after one call to warm up.
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


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    options.add_argument("--repeat", type=int, default=5)
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
        tasks = _print_stages(home / "work", time.monotonic() - began)
        _print_ways(home, environment, asked.repeat, tasks)


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


def _print_stages(work: Path, whole: float) -> int:
    """How many of them are those of the data and training flows."""
    record = json.loads((work / "runs" / "latest" / "release.json").read_text())
    rows = [(one["stage"], one["seconds"]) for one in record["seconds"]]
    rows = [("Prefect's own share" if name == "prefect" else name, took) for name, took in rows]
    rows.append(("start-up: imports, servers", whole - sum(took for _, took in rows)))
    print("| stage of the demo | s | share |\n|---|---:|---:|")
    for name, took in rows:
        print(f"| {name} | {took:.1f} | {took / whole:.1%} |")
    print(f"| the whole command | {whole:.1f} | |\n", flush=True)
    names = [name for name, _ in rows]
    return names.index("merge") + 1 - names.index("load")


def _print_ways(home: Path, environment: dict[str, str], repeat: int, tasks: int) -> None:
    from localhub.client_env import client_environment, running

    heads = ("called as", "first call, s", "median, s", "range", f"more for each of {tasks} tasks")
    print(f"| {' | '.join(heads)} |\n|---|---:|---:|---|---:|")
    with running(home / "work" / "hub") as hub, _server(environment):
        environment |= client_environment(hub.url, hub.token, home / "work" / "hf")
        least = None
        for way, more in WAYS.items():
            command = [sys.executable, __file__, "--child", way, "--repeat", str(repeat)]
            path = {"PYTHONPATH": str(ROOT)}
            first, *later = json.loads(_output(command, environment | more | path).splitlines()[-1])
            median = statistics.median(later)
            least = least or median
            told = f"{(median - least) / tasks * 1000:.0f} ms" if way != PLAIN else ""
            spread = f"{min(later):.2f} to {max(later):.2f}"
            print(f"| {way} | {first:.2f} | {median:.2f} | {spread} | {told} |", flush=True)


@contextmanager
def _server(environment: dict[str, str]) -> Iterator[None]:
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
