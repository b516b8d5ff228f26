"""The rows that a run set aside -> the same rows as text, a line each, for a person to mend.

in   a set-aside.parquet of a run (tasks.core.account): `record` holds each row as its source had it
out  JSONL; every row stands in it once, whatever is wrong with it, and none is changed. One that is
     `used` is left out: other pairs of it went on
"""

import json
import re
from pathlib import Path

import polars as pl

from expectations.measures.measure import several
from tasks.core.blocks import RECORDS
from tasks.core.errors import InputError
from tasks.core.sources import kind_of, packed
from tasks.core.written import on_one_line, put_in_place, row_numbers


def is_set_aside(path: Path) -> bool:
    """Whether it is such a file, by its columns."""
    try:
        return kind_of(path) == "parquet" and {*pl.read_parquet_schema(path)} >= RECORDS
    except pl.exceptions.PolarsError:
        return False  # whoever reads its rows says what it is


def unfold(path: Path, out: Path, against: str | None) -> list[str]:
    """Write `out`; for each reason the lines of `out` that it holds for, in words."""
    if kind_of(out) != "jsonl":
        raise InputError(
            f"--out {out}: rows that were set aside become lines of text, so that they can be "
            "mended there. Name a .jsonl file."
        )
    if against is not None:
        raise InputError(
            f"--against {against}: of rows that were set aside none is dropped. Leave it out here, "
            "and give it when you mend what is written."
        )
    rows = pl.read_parquet(path)
    if "used" in rows.columns:  # other pairs of these rows went on
        rows = rows.filter(~pl.col("used"))
    rows = rows.unique("row", keep="first", maintain_order=True)
    if rows.is_empty():
        raise InputError(f"{path}: no whole row was set aside. There is nothing to mend.")
    text = "".join(f"{_line(record)}\n" for record in rows["record"])
    put_in_place(out, lambda part: part.write_bytes(packed(out, text.encode())))
    by_code = rows.with_row_index("line", offset=1).group_by("code", maintain_order=True)
    lines = by_code.agg("line").sort(pl.col("line").list.len(), descending=True).rows()
    return [
        *(f"set aside, {code}: {row_numbers(numbers)}" for code, numbers in lines),
        f"{several(len(rows), 'row')} written as the source has them, none changed or dropped: "
        f"mend them in {out} and feed that file in",
    ]


def _line(record: str) -> str:
    """One line, also of a row that its source wrote over several, or that no parser takes."""
    try:
        json.loads(record)
    except (RecursionError, ValueError):
        return re.sub(r"[\r\n]+", " ", record.strip())
    return on_one_line(record.strip())
