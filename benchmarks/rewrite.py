"""python benchmarks/rewrite.py [--rows 160000] [--large 1600000] [--repeat 5]

Raw HH-RLHF pairs -> parquet with message lists, side by side in one run with `load_dataset`, `.map`
and `to_parquet`. Needs `pip install -e '.[pipeline]'` and the HH-RLHF files of ../shared/data.

The pairs are the published ones, repeated with a running number put into the first human turn until
there are enough, as JSONL and as gzip. Each side runs in a process of its own, in turn; what is
imported is imported before the clock starts. A ratio is the median of the ratios of one turn, with
its range; memory is the highest resident set of a process. Then both files are held against each
other row by row, the large number of rows is rewritten for memory and CPU per row, and the same
number of rows goes through rewriting and the search for duplicates: once as they are, each of them
near 33 others, and once with the words of every turn in an order of their own, none near another.

It is long because the two results are held against each other here as well.
"""

import argparse
import gzip
import itertools
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hh import hh_lines
from page import Section, ratios, told

ROOT = Path(__file__).resolve().parents[1]
FIRST_TURN = "\n\nHuman:"
MARKER = re.compile(r"\n\n(Human|Assistant):")
ROLES = {"Human": "user", "Assistant": "assistant"}
GOALS = {"jsonl": 4, "gz": 3}  # times as fast
MOST_MB, MOST_CPU = 300, 1.2

Figures = dict[str, Any]
Run = Callable[[Path, Path], tuple[int, int]]  # -> rows read, rows written


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    options.add_argument("--rows", type=int, default=160_000)
    options.add_argument("--large", type=int, default=1_600_000, help="0: left out")
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--json", type=Path)
    options.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.child:
        side, path, folder = asked.child
        print(json.dumps(measure(side, Path(path), Path(folder))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = {"jsonl": folder / "pairs.jsonl", "gz": folder / "pairs.jsonl.gz"}
        write_pairs(paths["jsonl"], asked.rows)
        with paths["jsonl"].open("rb") as lines, gzip.open(paths["gz"], "wb", 6) as packed:
            shutil.copyfileobj(lines, packed)
        sizes = ", ".join(
            f"{kind} {path.stat().st_size / 1e6:,.0f} MB" for kind, path in paths.items()
        )
        print(
            f"{asked.rows:,} pairs, {sizes}; {asked.repeat} runs; {os.cpu_count()} cores",
            flush=True,
        )
        small = {kind: compare(kind, path, folder, asked.repeat) for kind, path in paths.items()}
        compare_rows(folder)
        after = []
        if asked.large:
            paths["gz"].unlink()
            write_pairs(paths["jsonl"], asked.large)
            after.append(report_large(child("ours", paths["jsonl"], folder), small["jsonl"]))
        for what, shuffled in (("each near 33 others", False), ("none near another", True)):
            write_pairs(paths["jsonl"], asked.rows, shuffled=shuffled)
            after.append(report_duplicates(what, child("deduplicated", paths["jsonl"], folder)))
    Section(
        title="Rewriting",
        text=f"Raw HH-RLHF pairs to parquet with message lists, {asked.rows:,} of them ({sizes}), "
        "beside `load_dataset`, `.map` with a function for a row, and `to_parquet`. All rows that "
        "both have are equal.",
        columns=("", "pairpress", "load_dataset + .map", "times as fast", "in CPU time"),
        rows=[one["row"] for one in small.values()],
        ratios={f"rewriting {kind}, to .map": one["ratios"] for kind, one in small.items()},
        after="\n\n".join(after),
    ).write(asked.json)


def compare(kind: str, path: Path, folder: Path, repeat: int) -> Figures:
    """Both sides in turn; returns the median figures of ours."""
    runs: dict[str, list[Figures]] = {"ours": [], "load_dataset": []}
    for _ in range(repeat):
        for side, got in runs.items():
            got.append(child(side, path, folder))
    print(f"\nfrom {kind}")
    for side, got in runs.items():
        seconds = [run["seconds"] for run in got]
        peak = max(run["peak_mb"] for run in got)
        cpu = statistics.median(run["cpu"] for run in got)
        spread = f"({min(seconds):.2f} to {max(seconds):.2f})"
        print(
            f"  {side:16}{statistics.median(seconds):8.2f} s {spread:>18}"
            f"{cpu:8.2f} s CPU{peak:8,.0f} MB"
        )
    for clock in ("seconds", "cpu"):
        pairs = zip(runs["ours"], runs["load_dataset"], strict=True)
        times = [theirs[clock] / ours[clock] for ours, theirs in pairs]
        goal = f"; goal {GOALS[kind]}" if clock == "seconds" else ""
        print(
            f"  {clock:16}{statistics.median(times):8.2f} times as fast "
            f"({min(times):.2f} to {max(times):.2f}{goal})",
            flush=True,
        )
    clocks = {
        clock: [[run[clock] for run in runs[side]] for side in ("load_dataset", "ours")]
        for clock in ("seconds", "cpu")
    }
    peaks = {side: max(run["peak_mb"] for run in got) for side, got in runs.items()}
    return {
        "cpu": statistics.median(run["cpu"] for run in runs["ours"]),
        "read": runs["ours"][0]["read"],
        "ratios": ratios(*clocks["seconds"]),
        "row": [
            f"from {kind}",
            *(
                f"{told([run['seconds'] for run in runs[side]], 2, ' s')}, {peaks[side]:,.0f} MB"
                for side in ("ours", "load_dataset")
            ),
            told(ratios(*clocks["seconds"])),
            told(ratios(*clocks["cpu"])),
        ],
    }


def report_large(large: Figures, small: Figures) -> str:
    ratio = large["cpu"] / large["read"] / (small["cpu"] / small["read"])
    line = (
        f"{large['read']:,} pairs: {large['seconds']:.1f} s, {large['cpu']:.1f} s CPU, "
        f"{large['peak_mb']:,.0f} MB (goal {MOST_MB}); "
        f"CPU per row {ratio:.2f} times that of {small['read']:,} (goal {MOST_CPU})"
    )
    print(f"\n{line}")
    return f"{line}."


def report_duplicates(what: str, one: Figures) -> str:
    line = (
        f"With duplicates and MinHash, {what}: {one['seconds']:.1f} s, {one['cpu']:.1f} s CPU, "
        f"{one['peak_mb']:,.0f} MB; {one['rows']:,} of {one['read']:,} rows stay"
    )
    print(f"\n{line}", flush=True)
    return f"{line}."


def write_pairs(path: Path, rows: int, *, shuffled: bool = False) -> None:
    base = [json.loads(line) for line in hh_lines()]
    with path.open("w", encoding="utf-8") as file:
        for number in range(1, rows + 1):
            row = base[(number - 1) % len(base)]
            numbered = {
                side: text.replace(FIRST_TURN, f"{FIRST_TURN} {number}", 1)
                for side, text in row.items()
            }
            if shuffled:
                numbered = {side: reordered(text, number) for side, text in numbered.items()}
            file.write(json.dumps(numbered, ensure_ascii=False) + "\n")


def reordered(transcript: str, seed: int) -> str:
    """The same turns, the words of each in another order."""
    parts = MARKER.split(transcript)
    turns = []
    for role, said in zip(parts[1::2], parts[2::2], strict=True):
        words = said.split()
        random.Random(f"{seed} {said}").shuffle(words)
        turns.append(f"\n\n{role}: {' '.join(words)}")
    return "".join(turns)


def child(side: str, path: Path, folder: Path) -> Figures:
    done = subprocess.run(
        [sys.executable, __file__, "--child", side, str(path), str(folder / side)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    found: Figures = json.loads(done.stdout)
    return found


def measure(side: str, path: Path, folder: Path) -> Figures:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    run = SIDES[side]()
    start, cpu = time.perf_counter(), time.process_time()
    read, rows = run(path, folder)
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "peak_mb": peak_mb(),
        "read": read,
        "rows": rows,
    }


def peak_mb() -> float:
    """Of this process alone; getrusage also knows what its parent held when it began."""
    status = Path("/proc/self/status").read_text()
    kilobytes = re.search(r"VmHWM:\s+(\d+)", status)
    assert kilobytes
    return int(kilobytes[1]) / 1e3


def ours() -> Run:
    """As the reformat stage does it: the form is told, rows.parquet and set_aside.parquet."""
    import numpy  # noqa: F401
    import pyarrow.compute
    import pyarrow.json
    import pyarrow.parquet  # noqa: F401

    from tasks.core.blocks import read_blocks, values_of
    from tasks.core.forms import reader
    from tasks.core.reformat import How
    from tasks.core.rewrite import rewrite
    from tasks.core.settings import Reformat

    def run(path: Path, folder: Path) -> tuple[int, int]:
        sample = itertools.islice(values_of(next(read_blocks(path))), 1_000)
        how = How.of(Reformat())
        count = rewrite([(path.name, path)], reader(sample, path.name), how, folder)
        return count["read"], count["rows"]

    return run


def deduplicated() -> Run:
    """The reformat and deduplicate stages, but for the tokens."""
    from tasks.core.duplicates import repeated_rows
    from tasks.core.rows import copy_rows

    rewrite = ours()

    def run(path: Path, folder: Path) -> tuple[int, int]:
        read, _ = rewrite(path, folder)
        rows = folder / "rows.parquet"
        keep, _ = repeated_rows(rows, near=0.9)
        return read, copy_rows(rows, folder / "distinct.parquet", keep, None)

    return run


def load_dataset() -> Run:
    """As a script does it: one function for a row, nothing set aside."""
    import datasets

    def turns(transcript: str) -> list[dict[str, str]]:
        parts = MARKER.split(transcript)[1:]
        return [
            {"role": ROLES[who], "content": said.strip()}
            for who, said in zip(parts[::2], parts[1::2], strict=True)
        ]

    def pair(row: dict[str, str]) -> dict[str, list[dict[str, str]]]:
        chosen, rejected = turns(row["chosen"]), turns(row["rejected"])
        return {"prompt": chosen[:-1], "chosen": chosen[-1:], "rejected": rejected[-1:]}

    def run(path: Path, folder: Path) -> tuple[int, int]:
        data = datasets.load_dataset(
            "json", data_files=str(path), split="train", cache_dir=str(folder / "cache")
        )
        data.map(pair).to_parquet(str(folder / "rows.parquet"))
        return len(data), len(data)

    return run


SIDES = {"ours": ours, "deduplicated": deduplicated, "load_dataset": load_dataset}


def compare_rows(folder: Path) -> None:
    """Each of our rows is the reference's row of the same number, to the byte."""
    import pyarrow.parquet as pq

    mine = pq.ParquetFile(folder / "ours" / "rows.parquet")
    theirs = pq.ParquetFile(folder / "load_dataset" / "rows.parquet").iter_batches(5_000)
    waiting = iter(enumerate((row for batch in theirs for row in batch.to_pylist()), start=1))
    same = differ = 0
    for batch in mine.iter_batches(5_000):
        for row in batch.to_pylist():
            _, other = next(one for one in waiting if one[0] == row["row"])
            is_same = all(row[side] == other[side] for side in ("prompt", "chosen", "rejected"))
            same, differ = same + is_same, differ + (not is_same)
    print(f"\nrows that both have: {same:,} are equal, {differ:,} are not", flush=True)


if __name__ == "__main__":
    main()
