"""A dear expression, evaluated for the few rows that a cheap one points at.

in   a cheap expression, true or false; a dear one over the columns named; text or null
out  one expression, null where the cheap one is not true
"""

from functools import partial

import polars as pl


def where(some: pl.Expr, then: pl.Expr, *columns: str) -> pl.Expr:
    """`pl.when(some).then(then)` evaluates `then` for every row; this does not."""
    rows = pl.struct(*columns, some.alias("some"))
    return rows.map_batches(partial(_evaluate, then), return_dtype=pl.String)


def _evaluate(then: pl.Expr, rows: pl.Series) -> pl.Series:
    if not rows.struct.field("some").any():
        return pl.Series(dtype=pl.String).clear(len(rows))
    frame = rows.struct.unnest()
    place = pl.when("some").then(pl.col("some").cum_sum() - 1)
    texts = frame.filter("some").select(then.cast(pl.String)).to_series()
    return texts.gather(frame.select(place).to_series())
