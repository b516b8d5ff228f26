"""Did every row of the file become a pair, and do both answers follow the same prompt?

in   Pairs, with the faults that a parser met
out  findings "rows_become_pairs" and "same_prompt"
"""

from collections.abc import Mapping
from typing import ClassVar

import polars as pl
from pydantic import Field

from expectations.measures.finding import Finding, Number
from expectations.measures.measure import Measure, RowMeasure, rows_of
from expectations.measures.pairs import Pairs


class RowsBecomePairs(Measure):
    check: ClassVar[str] = "rows_become_pairs"
    title: ClassVar[str] = "rows set aside"
    one_sided: ClassVar[bool] = True

    max_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of rows set aside above which the file is not what it says; "
        "HH-RLHF's own share is 0.8 %",
    )

    @property
    def promise(self) -> str:
        return "Every row of the file becomes a pair."

    @property
    def threshold(self) -> str:
        return f"at most {self.max_share:.0%} of rows"

    @property
    def remedy(self) -> str:
        return "Mend these rows or remove them: none of them would be trained on."

    def judge(self, pairs: Pairs) -> Finding:
        if pairs.height == 0:
            return self.no_pairs()
        faults = pairs.faults
        rows = faults.unique("at", keep="first", maintain_order=True)
        share = rows.height / pairs.height
        reasons = rows["why"].str.replace_all(r"\d+", "N").value_counts(sort=True)
        observed: dict[str, Number] = {"rows": pairs.height, "set_aside": rows.height}
        return self.found(
            rows.is_empty(),
            rows_of(rows.height, pairs.height),
            observed | {"share": share},
            severity="warning" if 0 < share <= self.max_share else self.severity,
            broken=rows,
            examples=pairs.examples(rows),
            details={"reasons": dict(reasons.head(20).iter_rows())},
        )


class SamePrompt(RowMeasure):
    """Only a parser can see it: rows with one prompt for both answers have no other."""

    check: ClassVar[str] = "same_prompt"
    title: ClassVar[str] = "one prompt a pair"

    @property
    def promise(self) -> str:
        return "Both answers of a pair follow the same prompt."

    @property
    def remedy(self) -> str:
        return "Drop these rows: their answers reply to different conversations."

    def whys(self) -> Mapping[str, pl.Expr]:
        return {}
