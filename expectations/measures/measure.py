"""A check: a promise about pairs, its thresholds as fields, and the finding it comes to.

in   Pairs
out  Finding. A measure is a frozen settings model that can judge: what a suite file may change of
     it are its fields, each with its reason; Great Expectations' classes take the same fields
"""

from collections.abc import Mapping
from typing import ClassVar

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from expectations.measures.finding import Finding, Number, Severity
from expectations.measures.pairs import ROWS, Pairs


class Measure(BaseModel):
    """Base of all checks. `one_sided`: it says something about answers that have no second side."""

    # A schema is built for a measure that somebody changes: 30 of them take longer than the checks.
    # Strict: `purity: true` is 1.0 otherwise, and "0.95" a number.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    check: ClassVar[str]
    title: ClassVar[str]
    one_sided: ClassVar[bool] = False

    severity: Severity = Field(
        "critical", description="critical: nothing is trained on a set that fails; warning: said"
    )

    @property
    def promise(self) -> str:
        raise NotImplementedError

    @property
    def threshold(self) -> str:
        raise NotImplementedError

    @property
    def remedy(self) -> str:
        raise NotImplementedError

    @classmethod
    def summary(cls, pairs: Pairs) -> dict[str, Number]:
        """What a check of drift remembers of the set that it compares with: its `reference`."""
        raise NotImplementedError

    def judge(self, pairs: Pairs) -> Finding:
        raise NotImplementedError

    def found(
        self,
        passed: bool,
        number: str,
        observed: dict[str, Number],
        *,
        severity: Severity | None = None,
        broken: pl.DataFrame | None = None,
        examples: tuple[dict[str, int | str], ...] = (),
        details: dict[str, object] | None = None,
    ) -> Finding:
        """The finding of this check; `broken` (split, row) are the rows that it names."""
        return Finding(
            check=self.check,
            title=self.title,
            promise=self.promise,
            severity=severity or self.severity,
            passed=passed,
            number=number,
            threshold=self.threshold,
            observed=observed,
            remedy=self.remedy,
            rows={} if broken is None else named_rows(broken),
            examples=examples,
            details=details or {},
        )

    def no_pairs(self) -> Finding:
        """A promise about nothing is not kept: zero pairs mean that a step before this failed."""
        return self.found(False, "0 pairs", {"pairs": 0}, severity="critical")


class RowMeasure(Measure):
    """A check that looks at each row by itself."""

    max_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of rows above which a critical check gates; up to it rows are only said",
    )

    def whys(self) -> Mapping[str, pl.Expr]:
        """Side -> what is wrong with it, null where nothing is; over the columns of a chunk."""
        raise NotImplementedError

    @property
    def threshold(self) -> str:
        if self.severity == "warning":
            return "0 rows, reported"
        return "0 rows" if not self.max_share else f"at most {self.max_share:.1%} of rows"

    def also(self, pairs: Pairs, broken: pl.DataFrame) -> dict[str, Number]:
        """Further numbers of the finding."""
        return {}

    def shown(self, pairs: Pairs, rows: pl.DataFrame) -> tuple[dict[str, int | str], ...]:
        """Example rows: the beginnings of their answers, or where a check knows to look."""
        return pairs.examples(rows)

    def judge(self, pairs: Pairs) -> Finding:
        broken = pairs.broken(self)
        if pairs.height == 0:
            return self.no_pairs()
        rows, named = broken, {}
        if not broken.is_empty():
            rows = broken.unique("at", keep="first", maintain_order=True)
            sides = broken.unique(["at", "side"])["side"].value_counts().sort("side")
            named = {f"in_{side}": count for side, count in sides.iter_rows() if side}
        share = rows.height / pairs.height
        observed: dict[str, Number] = {"pairs": pairs.height, "rows": rows.height, "share": share}
        return self.found(
            rows.is_empty(),
            rows_of(rows.height, pairs.height),
            observed | named | self.also(pairs, broken),
            severity="warning" if 0 < share <= self.max_share else self.severity,
            broken=rows,
            examples=self.shown(pairs, rows),
        )


def rows_of(count: int, total: int) -> str:
    """ "4 rows (0.17 %)"."""
    percent = 100 * count / total if count else 0
    share = f"{percent:.2g}" if percent < 10 else f"{percent:.0f}"
    return several(count, "row") + (f" ({share} %)" if count else "")


def several(count: int, noun: str) -> str:
    """ "1 row", "2,000 rows"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def named_rows(rows: pl.DataFrame) -> dict[str, list[int]]:
    if rows.is_empty():
        return {}
    grouped = rows.head(ROWS).group_by("split", maintain_order=True).agg("row")
    return {split: numbers for split, numbers in grouped.iter_rows()}
