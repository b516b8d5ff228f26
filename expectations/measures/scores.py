"""Do the scores that came with the pairs agree with their sides?

in   Pairs with score_chosen and score_rejected
out  finding "N1". It finds labels that were flipped after the scores were given; from the texts
     alone nothing can
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import polars as pl

from expectations.measures.finding import Finding, Number
from expectations.measures.measure import RowMeasure, several
from expectations.measures.pairs import Pairs

CHOSEN, REJECTED = pl.col("score_chosen"), pl.col("score_rejected")
# NaN would count as higher than any number, and two infinities as equal: they are no scores.
COMPARED = CHOSEN.is_finite().fill_null(False) & REJECTED.is_finite().fill_null(False)
ANY = CHOSEN.is_not_null() | REJECTED.is_not_null()
WHY = pl.format(
    "chosen has score {}, rejected {}",
    *(score.cast(pl.String).fill_null("none") for score in (CHOSEN, REJECTED)),
)


class Scores(RowMeasure):
    check: ClassVar[str] = "N1"
    title: ClassVar[str] = "scores against sides"

    @property
    def promise(self) -> str:
        return "Where both answers have a score, the chosen one's is not the lower."

    @property
    def remedy(self) -> str:
        return (
            "Swap the sides of these rows if the scores are right, or drop them: they teach the "
            "opposite of what is wanted. Give a row two numbers as scores, or none."
        )

    def whys(self) -> Mapping[str, pl.Expr]:
        return {"": pl.when(COMPARED & (CHOSEN < REJECTED)).then(WHY)}

    def judge(self, pairs: Pairs) -> Finding:
        found = super().judge(pairs)
        if pairs.height == 0:
            return found
        compared, ties, lower, odd = _counted(pairs)
        parts = []
        if compared:
            parts = [f"{lower:,} of {several(compared, 'row')}", several(ties, "tie")]
        if odd.height:
            parts.append(f"{several(odd.height, 'row')} with one score or no number")
        number = ", ".join(parts) or "no scores"
        counts: dict[str, Number] = {"scored": compared, "ties": ties, "unscored": odd.height}
        observed = found.observed | counts
        if found.passed and odd.height:
            examples = pairs.examples(odd)
            return self.found(
                False, number, observed, severity="warning", broken=odd, examples=examples
            )
        return replace(found, number=number, observed=observed)


def _counted(pairs: Pairs) -> tuple[int, int, int, pl.DataFrame]:
    """Rows with two scores, those with equal ones, those where the chosen one is the lower; and
    at, row, split, why of the rows that have something for a score and cannot be compared."""
    faulty = pairs.faults.filter(pl.col("check") == "N1").unique("at", maintain_order=True)
    told = faulty.select("at", "row", "split", "why")
    if not {"score_chosen", "score_rejected"} & set(pairs.columns):
        return 0, 0, 0, told
    columns = {name: pl.col(name) for name in ("at", "row", "split")}
    marks = {"both": COMPARED, "tie": COMPARED & (CHOSEN == REJECTED), "odd": ANY & ~COMPARED}
    lower = COMPARED & (CHOSEN < REJECTED)
    rows = pairs.select(columns | marks | {"lower": lower, "why": WHY}, good=False)
    odd = rows.filter("odd").select("at", "row", "split", "why").join(told, on="at", how="anti")
    both, tie, low = (int(rows[name].sum()) for name in ("both", "tie", "lower"))
    return both, tie, low, pl.concat([odd, told]).sort("at")
