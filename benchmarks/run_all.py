"""python benchmarks/run_all.py [NAME ...] [--repeat 5] [--page-only]

Every benchmark beside its baseline, one after the other, and docs/benchmarks.md written from what
they measured, with a chart and a table of the goals. NAME is one or more of BENCHMARKS; without it
all of them run, which takes about two hours on two quiet cores.

in   ../shared/data, as each benchmark says
out  benchmarks/results/NAME.json with the machine and the day; docs/benchmarks.md and .png, from
     all results that there are
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE, CHART = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "benchmarks.png"
LIBRARIES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "huggingface_hub",
    "prefect",
    "great_expectations",
    "polars",
    "pyarrow",
)


@dataclass(frozen=True)
class Benchmark:
    script: str
    arguments: str
    turns: str = "--repeat"  # its option for how often
    gpu: tuple[str, ...] = ()  # only where there is one: title and goal, told without one


GPU = ("Training on a GPU", "at least 1.8 times TRL's best on a GPU")

# In the order of the page.
BENCHMARKS = {
    "train": Benchmark("train.py", "--only 30M"),
    "train_tiny": Benchmark("train.py", "--only tiny"),
    "train_gpu": Benchmark("train.py", "--only 0.5B", gpu=GPU),
    "answers": Benchmark("answers.py", "--system"),
    "publish": Benchmark("publish.py", ""),
    "orchestration": Benchmark("orchestration.py", ""),
    "check_start": Benchmark("check_start.py", "", turns="--runs"),
    "check_scale": Benchmark("check_scale.py", ""),
    "rewrite": Benchmark("rewrite.py", ""),
    "memory": Benchmark("memory.py", "", turns=""),
}
HEAD = """# Benchmarks

Written by `python benchmarks/run_all.py` from what it measured; `benchmarks/results/` keeps that.
Both sides of a comparison run in the same call, on the same machine and the same rows, in turn; a
figure is the median of the turns, with its range. Machines are shared and noisy: read the ratios,
not the seconds. "TRL, tuned" is TRL as somebody sets it up who knows it: no checkpointing, batches
of like length, the reference computed once. On a CPU both TRL sides train in fp32.

![How many times as fast as its baseline](benchmarks.png)
"""
TAIL = """
## Elsewhere

What the checks see in planted faults: [checks.md](checks.md), by `benchmarks/check_power.py`. What
a training looks like that wrecks its model: [training.md](training.md), by
`benchmarks/divergence.py`.
"""


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    options.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--page-only", action="store_true", help="run nothing")
    asked = options.parse_args()
    if unknown := set(asked.names) - set(BENCHMARKS):
        options.error(f"no benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    failed = []
    possible = [name for name, one in BENCHMARKS.items() if not one.gpu or _gpu()]
    for name in [] if asked.page_only else asked.names or possible:
        if not _run(name, asked.repeat):
            failed.append(name)
    found = results()
    PAGE.write_text(page(found))
    _draw(found)
    print(_goals(found))
    if failed:
        raise SystemExit(f"failed, so their earlier results stand: {', '.join(failed)}")


def results() -> dict[str, Any]:
    """Name -> section with command, machine, versions and day, of those that were measured."""
    return {
        name: json.loads(path.read_text())
        for name in BENCHMARKS
        if (path := RESULTS / f"{name}.json").is_file()
    }


def _run(name: str, repeat: int) -> bool:
    RESULTS.mkdir(exist_ok=True)
    path, one = RESULTS / f"{name}.json", BENCHMARKS[name]
    arguments = one.arguments.split() + ([one.turns, str(repeat)] if one.turns else [])
    print(f"\n== {name}: python benchmarks/{one.script} {' '.join(arguments)}", flush=True)
    kept = path.read_bytes() if path.is_file() else None
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / one.script), *arguments, "--json", str(path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    print(f"== {name}: {time.monotonic() - start:.0f} s", flush=True)
    if done.returncode:
        if kept is not None:
            path.write_bytes(kept)
        return False
    command = f"python benchmarks/{one.script} {' '.join(arguments)}".strip()
    section = json.loads(path.read_text()) | {
        "command": f"OMP_NUM_THREADS=1 {command}",
        "machine": _machine(),
        "versions": {library: version(library) for library in LIBRARIES},
        "day": f"{datetime.now(UTC):%Y-%m-%d}",
    }
    path.write_text(json.dumps(section, indent=1) + "\n")
    return True


def _gpu() -> str:
    """Its name, empty where there is none."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


def _machine() -> str:
    told = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", told.read_text()) if told.is_file() else None
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    processor = model[1] if model else platform.processor() or platform.machine()
    return (
        f"{processor}, {os.cpu_count()} cores, {pages / 2**30:.0f} GiB, "
        f"{f'{_gpu()}, ' if _gpu() else ''}{platform.system()}, Python {platform.python_version()}"
    )


def page(found: dict[str, Any]) -> str:
    parts = [HEAD, "## Goals\n", _goals(found)]
    machines = {(one["machine"], *one["versions"].items()) for one in found.values()}
    for machine, *versions in sorted(machines, key=str):
        told = ", ".join(f"{name} {number}" for name, number in versions)
        parts.append(f"Measured on: {machine}; {told}.\n")
    for one in found.values():
        parts.append(f"## {one['title']}\n\n    {one['command']}\n\n{one['text']}\n")
        parts.append(_table(one["columns"], one["rows"]))
        if one["after"]:
            parts.append(f"{one['after']}\n")
        where = f", on {one['machine']}" if len({m[0] for m in machines}) > 1 else ""
        parts.append(f"Measured {one['day']}{where}.\n")
    return "\n".join(parts) + TAIL


def _goals(found: dict[str, Any]) -> str:
    rows = [
        [
            one["title"],
            goal["what"],
            goal["got"],
            "met" if goal["met"] else "**missed**" + (f": {goal['why']}" if goal["why"] else ""),
        ]
        for one in found.values()
        for goal in one["goals"]
    ]
    for name, one in BENCHMARKS.items():
        if one.gpu and name not in found:
            rows.append([*one.gpu, "not measured", "no GPU was at hand"])
    return _table(["", "goal", "measured", ""], rows)


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _draw(found: dict[str, Any]) -> None:
    import matplotlib.pyplot as plt

    bars = [(name, got) for one in found.values() for name, got in one["ratios"].items()]
    figure, axes = plt.subplots(figsize=(9.6, 0.8 + 0.42 * len(bars)), dpi=125)
    for place, (_, got) in enumerate(bars):
        middle = statistics.median(got)
        error = [[middle - min(got)], [max(got) - middle]]
        axes.barh(place, middle, xerr=error, color="#3b6ea5", ecolor="#222222", capsize=3)
        axes.annotate(f"  {middle:,.1f}", (max(got), place), va="center")
    axes.set_yticks(range(len(bars)), [name for name, _ in bars])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(0.5, 3 * max(max(got) for _, got in bars))
    ticks = (0.5, 1, 2, 5, 10, 20, 50, 100)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.axvline(1, color="#222222", linewidth=1)
    axes.set_xlabel("times as fast as its baseline, median and range (logarithmic)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(CHART, bbox_inches="tight", metadata={"Software": ""})


if __name__ == "__main__":
    main()
