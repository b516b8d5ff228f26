"""python benchmarks/check_start.py [--runs 20]

What `pairpress check` of 1,000 rows costs beyond a bare Python, as a pre-commit hook pays it, and
of 10,000 rows, as a CI job does. Bare Python, the import of polars and the commands run in turn;
the table shows medians with their range. Needs the HH-RLHF files of ../shared/data. The 10,000 are
its rows repeated, with a running number put into the first human turn.
"""

import argparse
import gzip
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "hh-harmless-base-test.jsonl.gz"
HOOK, JOB = 1_000, 10_000  # rows
BARE = "bare Python"

Cost = tuple[float, float]  # seconds on the clock, seconds of processor


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    options.add_argument("--runs", type=int, default=20)
    runs = options.parse_args().runs
    # Installed packages have their bytecode; a checkout gets its own in the first round.
    env = {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        hook, job = (write_rows(Path(folder) / f"{rows}.jsonl", rows) for rows in (HOOK, JOB))
        pairpress = str(Path(sys.executable).with_name("pairpress"))
        files = [f"--{kind}={Path(folder) / kind}" for kind in ("junit", "summary")]
        commands = {
            BARE: [sys.executable, "-c", "pass"],
            "import polars": [sys.executable, "-c", "import polars"],
            f"pairpress check, {HOOK:,} rows": [pairpress, "check", hook],
            f"the action's, {JOB:,} rows": [pairpress, "check", job, "--format=github", *files],
        }
        rounds = [
            {name: cost(command, env) for name, command in commands.items()}
            for _ in range(runs + 1)
        ]
    report(rounds[1:])


def write_rows(path: Path, rows: int) -> str:
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        base = lines.readlines()
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


def report(rounds: Sequence[Mapping[str, Cost]]) -> None:
    print(f"{len(rounds)} runs, {os.cpu_count()} processors")
    print(f"{'':30}{'clock':>26}{'over bare':>11}{'processor':>26}{'over bare':>11}")
    bare = [statistics.median(one[BARE][kind] for one in rounds) for kind in (0, 1)]
    for name in rounds[0]:
        line = f"{name:30}"
        for kind in (0, 1):
            times = [one[name][kind] for one in rounds]
            middle = statistics.median(times)
            spread = f"({min(times):.2f} to {max(times):.2f})"
            line += f"{middle:7.2f} s {spread:>17}{middle - bare[kind]:9.2f} s"
        print(line)


if __name__ == "__main__":
    main()
