"""Every source row is in the data set or was set aside: the proof, and the file that shows it.

in   the source's files, the set_aside.parquet of each stage, the row numbers of the data set
out  set-aside.parquet {"row", "source", "stage", "code", "reason", "text", "used", "record"}

`record` is the row as its source has it, so that the file can be mended and fed in again; `used`
says that other pairs of the same row (a conversation has several) went on without this one.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.blocks import Block, Broken, read_blocks, values_of
from tasks.core.progress import progress
from tasks.core.reformat import Row

SCHEMA = {
    "row": pl.Int64,
    "source": pl.String,
    "stage": pl.String,
    "code": pl.String,
    "reason": pl.String,
    "text": pl.String,
    "used": pl.Boolean,
    "record": pl.String,
}


def write_account(
    target: Path,
    files: Sequence[tuple[str, Path]],
    aside: Sequence[tuple[str, Path]],
    used: set[int],
    read: int,
) -> dict[str, Any]:
    """Write set-aside.parquet; returns {"read", "used", "set_aside", "reasons"}.

    `files`: name and path of each source file, in the order read; `aside`: stage and its file.
    """
    told: list[Row] = []
    for stage, path in aside:
        rows = pl.read_parquet(path)
        told += [one | {"stage": stage} for one in rows.iter_rows(named=True)]
    lost = {int(one["row"]) for one in told} - used
    if len(used) + len(lost) != read:
        raise AssertionError(
            f"{read:,} source rows were read, but {len(used):,} are used and {len(lost):,} set "
            "aside: a row was lost on the way. Please report this."
        )
    told.sort(key=lambda one: int(one["row"]))
    records = dict(_records(files, {int(one["row"]) for one in told}))
    for one in told:
        source, record = records[one["row"]]
        one |= {"source": source, "record": record, "used": one["row"] in used}
    pl.DataFrame(told, schema=SCHEMA).write_parquet(target)
    # A row that left several pairs behind is one row; its first reason counts.
    first = {one["row"]: one["code"] for one in reversed(told) if not one["used"]}
    reasons = dict(Counter(first.values()).most_common())
    return {"read": read, "used": len(used), "set_aside": len(lost), "reasons": reasons}


def _records(
    files: Sequence[tuple[str, Path]], wanted: set[int]
) -> Iterator[tuple[int, tuple[str, str]]]:
    """(row number, ("name:line", the row as text)); numbers go on from file to file."""
    if not wanted:
        return
    before, last_wanted = 0, max(wanted)
    with progress("set aside", sum(path.stat().st_size for _, path in files), "B") as advance:
        for name, path in files:
            last = 0
            for block in read_blocks(path):
                if before + block.first > last_wanted:
                    return
                last = block.last
                numbers = wanted.intersection(range(before + block.first, before + last + 1))
                for number, text in _texts(block, {row - before for row in numbers}):
                    yield before + number, (f"{name}:{number}", text)
                advance(block.size)
            before += last


def _texts(block: Block, numbers: set[int]) -> Iterator[tuple[int, str]]:
    if not numbers:
        return
    if block.lines is not None:
        lines = block.lines.split(b"\n")
        for number in numbers:
            yield number, lines[number - block.first].decode(errors="backslashreplace")
        return
    for number, value in values_of(block):
        if number in numbers:
            whole = value.text if isinstance(value, Broken) else None
            yield number, whole or json.dumps(value, ensure_ascii=False, default=str)
