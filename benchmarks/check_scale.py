"""python benchmarks/check_scale.py [--rows 160000] [--repeat 3]

The whole suite at size, side by side in one run with the same checks as a notebook would do them
(baseline_checks.py). Needs `pip install -e '.[bench]'` and the HH-RLHF files of ../shared/data.

The pairs are the usable HH rows, repeated with a running number put into the first human turn
until there are enough; 90 % train, 5 % validation, 5 % test by base row. Both sides read the same
parquet file, each in a process of its own, in turn; times are medians with their range, memory is
the highest resident set of a process. The notebook runs up to 200,000 rows.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
from hh import hh_lines
from page import Section, ratios, told

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK_ROWS = 200_000
MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))

# Checks that one pass or one count answers together are compared together.
GROUPS = {
    "single rows": "rows_become_pairs turn_order same_prompt P1 P2 no_placeholder_left T1 T2 W1 N1 "
    "access_tokens contacts",
    "repeats": "P3 duplicates diversity",
    "languages": "languages",
    "words and shape": "S1 S2 S3 S4",
    "bag of words": "B1",
    "lengths": "L1 L2",
    "prompts in splits": "D1 D2",
}
GROUP_OF = {check: group for group, checks in GROUPS.items() for check in checks.split()}


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    options.add_argument("--rows", type=int, default=160_000)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--json", type=Path)
    options.add_argument("--child", nargs=2, metavar=("SIDE", "FILE"), help=argparse.SUPPRESS)
    asked = options.parse_args()
    if find_spec("sklearn") is None:
        raise SystemExit("the notebook's checks need scikit-learn: pip install -e '.[bench]'")
    if asked.child:
        side, path = asked.child
        print(json.dumps(_ours(Path(path)) if side == "ours" else _notebook(Path(path))))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.parquet"
        base = write_pairs(path, asked.rows)
        print(
            f"{asked.rows:,} pairs from {base:,} HH rows, {path.stat().st_size / 1e6:,.0f} MB; "
            f"{asked.repeat} runs; {pl.thread_pool_size()} polars threads, OMP_NUM_THREADS=1",
            flush=True,
        )
        sides = ("ours", "notebook") if asked.rows <= NOTEBOOK_ROWS else ("ours",)
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        for _ in range(asked.repeat):
            for side in sides:
                runs[side].append(_child(side, path))
    report(runs)
    section(runs, f"{asked.rows:,} pairs, {pl.thread_pool_size()} polars threads").write(asked.json)


def section(runs: dict[str, list[dict[str, Any]]], what: str) -> Section:
    """The notebook beside ours; whoever asks for more rows than it runs has no section."""
    ours, theirs = runs["ours"], runs.get("notebook", runs["ours"])

    def seconds(group: str | None, got: list[dict[str, Any]]) -> list[float]:
        return [
            run["seconds"].get(group, 0.0) if group else sum(run["seconds"].values()) for run in got
        ]

    groups = [group for group in theirs[0]["seconds"] if group in ours[0]["seconds"]]
    whole = ratios(seconds(None, theirs), seconds(None, ours))
    rows = [
        [
            group or "**whole suite**",
            told(seconds(group, ours), 2, " s"),
            told(seconds(group, theirs), 2, " s"),
            told(ratios(seconds(group, theirs), seconds(group, ours)), 1),
        ]
        for group in [*groups, None]
    ]
    peaks = [f"{max(run['peak_mb'] for run in got):,.0f} MB" for got in (ours, theirs)]
    return Section(
        title="Checks at size",
        text="The suite of `pairpress check --profile hh` beside the same checks as a notebook "
        f"does them with pandas, scikit-learn and plain Python (`pip install -e '.[bench]'`); "
        f"{what}.",
        columns=("", "pairpress", "notebook", "times as fast"),
        rows=[*rows, ["peak memory", *peaks, ""]],
        ratios={"checks, to a notebook's": whole},
        after="The notebook's whole suite includes reading; ours reads with the rows.",
    )


def report(runs: dict[str, list[dict[str, Any]]]) -> None:
    groups = list(dict.fromkeys(g for r in runs.values() for run in r for g in run["seconds"]))
    rows = [
        (group, {s: [run["seconds"].get(group, 0) for run in r] for s, r in runs.items()})
        for group in groups
    ]
    rows.append(
        ("total", {s: [sum(run["seconds"].values()) for run in r] for s, r in runs.items()})
    )
    print(f"{'':20}" + "".join(f"{side:>26}" for side in runs))
    for name, seconds in rows:
        line = f"{name:20}"
        for times in seconds.values():
            spread = f"({min(times):.2f} to {max(times):.2f})"
            line += f"{statistics.median(times):8.2f} s {spread:>16}"
        print(line + _ratio(seconds))
    memory = {side: max(run["peak_mb"] for run in r) for side, r in runs.items()}
    print(f"{'peak memory':20}" + "".join(f"{f'{mb:,.0f} MB':>26}" for mb in memory.values()))
    print("\nwhat they found: the rows, features or shares that the notebook counted; ours")
    theirs = runs.get("notebook", [{"found": {}}])[0]["found"]
    for check, number in runs["ours"][0]["found"].items():
        print(f"  {check:20}{theirs.get(check, '')!s:>10.6}  {number}")


def _ratio(seconds: dict[str, list[float]]) -> str:
    if len(seconds) < 2 or not statistics.median(seconds["ours"]):
        return ""
    pairs = zip(seconds["ours"], seconds["notebook"], strict=True)
    return f"{statistics.median(theirs / ours for ours, theirs in pairs):8.1f} times"


def write_pairs(path: Path, rows: int) -> int:
    """Write the pairs a round of the base rows at a time; returns how many base rows there are."""
    import pyarrow.parquet as pq

    base = pl.DataFrame(list(_base()), schema_overrides=dict.fromkeys(_SIDES, MESSAGES))
    place = pl.int_range(pl.len()).hash(seed=0) % 20
    split = pl.when(place == 0).then(pl.lit("test")).when(place == 1).then(pl.lit("validation"))
    base = base.with_columns(split=split.otherwise(pl.lit("train")))
    prompts = base["prompt"].to_list()
    writer = None
    for start in range(0, rows, base.height):
        count = min(base.height, rows - start)
        numbered = [
            [{"role": "user", "content": f"{start + at} {turns[0]['content']}"}, *turns[1:]]
            for at, turns in enumerate(prompts[:count])
        ]
        part = base.head(count).with_columns(
            pl.Series("prompt", numbered, dtype=MESSAGES),
            row=pl.int_range(start + 1, start + count + 1),
        )
        table = part.to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()
    return base.height


_SIDES = ("prompt", "chosen", "rejected")


def _base() -> Iterator[dict[str, list[dict[str, str]]]]:
    """The HH rows whose two transcripts part at their last turn, with an answer on both sides."""
    for line in hh_lines():
        row = json.loads(line)
        chosen, rejected = _turns(row["chosen"]), _turns(row["rejected"])
        answers = (chosen[-1:], rejected[-1:])
        if chosen[:-1] == rejected[:-1] and all(a[0]["content"].strip() for a in answers):
            yield {"prompt": chosen[:-1], "chosen": answers[0], "rejected": answers[1]}


def _turns(transcript: str) -> list[dict[str, str]]:
    parts = re.split(r"\n\n(Human|Assistant): ?", transcript)[1:]
    roles = {"Human": "user", "Assistant": "assistant"}
    return [
        {"role": roles[who], "content": said}
        for who, said in zip(parts[::2], parts[1::2], strict=True)
    ]


def _child(side: str, path: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--child", side, str(path)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _ours(path: Path) -> dict[str, Any]:
    from expectations.measures.measure import RowMeasure
    from expectations.measures.pairs import Pairs
    from expectations.measures.suite import suite

    seconds: dict[str, float] = {}
    found = {}
    start = time.perf_counter()
    pairs = Pairs(pl.scan_parquet(path))
    asked = suite("hh")
    pairs.read([measure for measure in asked if isinstance(measure, RowMeasure)])
    seconds["single rows"] = time.perf_counter() - start
    for measure in asked:
        start = time.perf_counter()
        finding = measure.judge(pairs)
        group = GROUP_OF.get(measure.check, measure.check)
        seconds[group] = seconds.get(group, 0) + time.perf_counter() - start
        found[measure.check] = finding.number
    return {"seconds": seconds, "found": found, "peak_mb": _peak_mb()}


def _notebook(path: Path) -> dict[str, Any]:
    from baseline_checks import Notebook

    notebook = Notebook(path)
    notebook.run()
    return {"seconds": notebook.seconds, "found": notebook.found, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3  # KB on Linux


if __name__ == "__main__":
    main()
