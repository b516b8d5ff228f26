"""python benchmarks/check_start.py [--runs 20] [--json FILE]

What `pairpress --help` and `pairpress list` take, and what `pairpress check` of 1,000 rows costs
beyond a bare Python, as a pre-commit hook pays it, and of 10,000 rows, as a CI job does. Bare
Python, the import of polars and the commands run in turn; the table shows medians with their range.
Needs the HH-RLHF files of ../shared/data. The 10,000 are its rows repeated, with a running number
put into the first human turn.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path

from hh import HARMLESS, hh_lines
from page import Goal, Section, told

ROOT = Path(__file__).resolve().parents[1]
HOOK, JOB = 1_000, 10_000  # rows
BARE = "bare Python"
SHORT, MOST_S = ("pairpress --help", "pairpress list"), 0.3

Cost = tuple[float, float]  # seconds on the clock, seconds of processor


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    options.add_argument("--runs", type=int, default=20)
    options.add_argument("--json", type=Path)
    asked = options.parse_args()
    # Installed packages have their bytecode; a checkout gets its own in the first round.
    env = {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        hook, job = (write_rows(Path(folder) / f"{rows}.jsonl", rows) for rows in (HOOK, JOB))
        pairpress = str(Path(sys.executable).with_name("pairpress"))
        files = [f"--{kind}={Path(folder) / kind}" for kind in ("junit", "summary")]
        commands = {
            BARE: [sys.executable, "-c", "pass"],
            "import polars": [sys.executable, "-c", "import polars"],
            SHORT[0]: [pairpress, "--help"],
            SHORT[1]: [pairpress, "list"],
            f"pairpress check, {HOOK:,} rows": [pairpress, "check", hook],
            f"the action's, {JOB:,} rows": [pairpress, "check", job, "--format=github", *files],
        }
        rounds = [
            {name: cost(command, env) for name, command in commands.items()}
            for _ in range(asked.runs + 1)
        ]
    report(rounds[1:]).write(asked.json)


def write_rows(path: Path, rows: int) -> str:
    base = list(hh_lines(HARMLESS))
    numbered = (
        line if n < len(base) else line.replace("Human: ", f"Human: {n} ")
        for n, line in enumerate(cycle(base))
    )
    path.write_text("".join(islice(numbered, rows)), "utf-8")
    return str(path)


def cost(command: Sequence[str], env: Mapping[str, str]) -> Cost:
    start = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):  # 1: a gate failed, and the command did its work
        sys.exit(f"{' '.join(command)}: exit {process.returncode}")
    return seconds, used.ru_utime + used.ru_stime


def report(rounds: Sequence[Mapping[str, Cost]]) -> Section:
    def beyond_bare(name: str, kind: int) -> str:
        middle, bare = (statistics.median(one[n][kind] for one in rounds) for n in (name, BARE))
        return f"{middle - bare:.2f} s"

    rows = []
    for name in rounds[0]:
        line = [name]
        for kind in (0, 1):
            line += [told([one[name][kind] for one in rounds], unit=" s"), beyond_bare(name, kind)]
        rows.append(line)
    section = Section(
        title="Starting up",
        text=f"{len(rounds)} runs of each, in turn, {os.cpu_count()} processors; median and range.",
        columns=("", "clock", "over bare", "processor", "over bare"),
        rows=rows,
        goals=[short(name, rounds) for name in SHORT],
    )
    for row in (section.columns, *rows):
        print("{:32}{:>26}{:>11}{:>26}{:>11}".format(*row))
    for goal in section.goals:
        print(f"{goal.what}: {goal.got}, {'met' if goal.met else 'missed'}")
    return section


def short(name: str, rounds: Sequence[Mapping[str, Cost]]) -> Goal:
    clock, processor = ([one[name][kind] for one in rounds] for kind in (0, 1))
    bare = statistics.median(one[BARE][1] for one in rounds)
    return Goal(
        what=f"{name} under {MOST_S} s",
        got=told(clock, unit=" s"),
        met=statistics.median(clock) < MOST_S,
        why=f"{statistics.median(processor):.2f} s of processor, {bare:.2f} of them a bare Python, "
        "most of the rest the import of typer and of rich or pydantic; the clock also counts what "
        "else the machine does.",
    )


if __name__ == "__main__":
    main()
