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
from expectations.measures.measure import RowMeasure
from expectations.measures.pairs import Pairs


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
            "opposite of what is wanted."
        )

    def whys(self) -> Mapping[str, pl.Expr]:
        chosen, rejected = _scores()
        why = pl.format("chosen has score {}, rejected {}", chosen, rejected)
        return {"": pl.when(chosen < rejected).then(why)}

    def judge(self, pairs: Pairs) -> Finding:
        found = super().judge(pairs)
        if pairs.height == 0:
            return found
        counted = _counted(pairs)
        number = found.number if counted["scored"] else "no scores"
        return replace(found, number=number, observed=found.observed | counted)


def _scores() -> tuple[pl.Expr, pl.Expr]:
    """NaN would count as higher than any number; it is no score."""
    return pl.col("score_chosen").fill_nan(None), pl.col("score_rejected").fill_nan(None)


def _counted(pairs: Pairs) -> dict[str, Number]:
    """Rows with two scores, and those among them whose scores are equal."""
    if not {"score_chosen", "score_rejected"} <= set(pairs.columns):
        return {"scored": 0, "ties": 0}
    chosen, rejected = _scores()
    both = chosen.is_not_null() & rejected.is_not_null()
    rows = pairs.select({"scored": both, "tie": both & (chosen == rejected)}, good=False)
    return {"scored": int(rows["scored"].sum()), "ties": int(rows["tie"].sum())}
