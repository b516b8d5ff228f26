"""Is there an answer on both sides, and are there two?

in   frame of pairs (expectations/measures/pairs.py)
out  findings "answers_not_empty" and "chosen_differs"
"""

import polars as pl

from expectations.measures.finding import Finding
from expectations.measures.pairs import contents, count_rows, text


def answers_not_empty(frame: pl.DataFrame) -> Finding:
    broken = []
    for side in ("chosen", "rejected"):
        blank = pl.element().str.strip_chars() == ""
        empty = contents(side).list.eval(blank).list.any() | (contents(side).list.len() == 0)
        broken.append(pl.when(empty).then(pl.lit(f"{side} is empty")))
    return count_rows(
        frame,
        pl.coalesce(broken),
        check="answers_not_empty",
        promise="Every chosen and every rejected answer says something.",
        remedy="Drop these rows: an empty answer teaches the model when to be silent.",
    )


def chosen_differs(frame: pl.DataFrame) -> Finding:
    chosen, rejected = (text(side).str.strip_chars() for side in ("chosen", "rejected"))
    return count_rows(
        frame,
        pl.when(chosen == rejected).then(pl.lit("chosen equals rejected")),
        check="chosen_differs",
        promise="The chosen answer differs from the rejected one by more than outer white space.",
        remedy="Drop these rows: two equal answers express no preference and their DPO loss is "
        "ln 2 whatever the model learns.",
    )
