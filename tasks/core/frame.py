"""Rows as Python has them -> the frame that the checks read.

in   rows of tasks.core.reformat.as_pairs
out  DataFrame as expectations/measures/pairs.py describes it
"""

from collections.abc import Sequence

import polars as pl

from expectations.measures.chunk import FAULT, MESSAGES, SIDES
from tasks.core.fields import SCORES, Row


def pairs_frame(rows: Sequence[Row], split: str) -> pl.DataFrame:
    """Texts go in flat and polars gathers them: a list of dicts a row takes five times as long."""
    columns = {
        "row": pl.Series([row["row"] for row in rows], dtype=pl.Int64),
        "split": pl.Series([split] * len(rows), dtype=pl.String),
        **{side: _gathered([row[side] for row in rows]) for side in SIDES},
        # Few rows have any, and polars takes as long over an empty list as over a full one.
        "faults": pl.Series([row.get("faults") or None for row in rows], dtype=FAULT).fill_null([]),
    }
    for name in SCORES[0]:
        values = [row.get(name) for row in rows]
        if any(value is not None for value in values):
            columns[name] = pl.Series(values, dtype=pl.Float64)
    return pl.DataFrame(columns)


def _gathered(sides: Sequence[list[dict[str, str]] | None]) -> pl.Series:
    flat = {"at": [], "role": [], "content": []}  # type: dict[str, list[int | str]]
    for at, messages in enumerate(sides):
        for message in messages or ():
            flat["at"].append(at)
            flat["role"].append(message["role"])
            flat["content"].append(message["content"])
    turns = pl.DataFrame(flat, schema={"at": pl.Int64, "role": pl.String, "content": pl.String})
    grouped = turns.group_by("at", maintain_order=True).agg(
        pl.struct("role", "content").alias("messages")
    )
    if grouped.height == len(sides):
        return grouped["messages"]
    present = pl.Series([side is not None for side in sides], dtype=pl.Boolean)
    return (
        pl.DataFrame({"at": pl.int_range(len(sides), eager=True), "present": present})
        .join(grouped, on="at", how="left", maintain_order="left")
        .select(
            pl.when(pl.col("present") & pl.col("messages").is_null())
            .then(pl.lit([], MESSAGES))
            .otherwise("messages")
        )
        .to_series()
    )
