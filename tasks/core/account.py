"""Every source row is in the data set or was set aside: the proof, and the file that shows it.

in   the source's files, the set_aside.parquet of each stage, the row numbers of the data set
out  set-aside.parquet {"row", "source", "stage", "code", "reason", "text", "used", "record"}

Each row stands there once, with its last code and all reasons, the last one first. `record` is the
row as its source has it, so that the file can be mended and fed in again; `used` says that other
pairs of the row (a conversation has several) went on without this one: what is fed in again leaves
it out.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.blocks import read_blocks
from tasks.core.fields import Row
from tasks.core.progress import progress
from tasks.core.row_texts import texts_of_rows

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
    by_row = _by_row(told)
    for number, (source, record) in _records(files, set(by_row)):
        by_row[number] |= {"source": source, "record": record, "used": number in used}
    pl.DataFrame(list(by_row.values()), schema=SCHEMA).write_parquet(target)
    reasons = Counter(one["code"] for one in by_row.values() if not one["used"])
    return {
        "read": read,
        "used": len(used),
        "set_aside": len(lost),
        "reasons": dict(reasons.most_common()),
    }


def _by_row(told: Sequence[Row]) -> dict[int, Row]:
    """One entry for each row, in the order of the rows: a row may have lost several pairs or
    answers on its way. What was said of it last decided."""
    rows: dict[int, Row] = {}
    for one in sorted(told, key=lambda one: int(one["row"])):
        reasons = rows[one["row"]]["reason"].split("; ") if one["row"] in rows else []
        earlier = [reason for reason in reasons if reason != one["reason"]]
        rows[one["row"]] = one | {"reason": "; ".join([one["reason"], *earlier])}
    return rows


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
                for number, text in texts_of_rows(block, {row - before for row in numbers}).items():
                    yield before + number, (f"{name}:{number}", text)
                advance(block.size)
            before += last
