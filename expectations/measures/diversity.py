"""How many different things do the rows ask and say?

in   Pairs
out  finding "diversity": distinct prompts and answers, repeated prompts, the most frequent answer
"""

from typing import ClassVar

import polars as pl
from pydantic import Field

from expectations.measures.copies import prints
from expectations.measures.finding import Finding, Number, Severity
from expectations.measures.measure import Measure
from expectations.measures.pairs import Pairs


class Diversity(Measure):
    """A prompt is what is asked after the system message: many rows share one of those."""

    check: ClassVar[str] = "diversity"
    title: ClassVar[str] = "repeated prompts or answers"
    one_sided: ClassVar[bool] = True

    severity: Severity = Field(
        "warning", description="Reported: a set may repeat its prompts on purpose"
    )
    distinct_prompts: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of prompts that are distinct below which a split by prompt leaves few "
        "to test on; of ten published sets only templates repeat more (9 %), others have 77 % up",
    )
    most_frequent: float = Field(
        0.05,
        gt=0,
        le=1,
        description="Share of rows with one and the same chosen answer: above it the model can "
        "learn that sentence instead of answering",
    )

    @property
    def promise(self) -> str:
        return "The rows ask different things, and no chosen answer stands in many of them."

    @property
    def threshold(self) -> str:
        return (
            f"{self.distinct_prompts:.0%} distinct, one answer in at most "
            f"{self.most_frequent:.0%} of rows"
        )

    @property
    def remedy(self) -> str:
        return (
            "Add other prompts and other wordings of the answers, or drop repetitions: rows that "
            "repeat count more, and the number of rows promises more than there is to learn."
        )

    def judge(self, pairs: Pairs) -> Finding:
        rows = prints(pairs)
        if rows.is_empty():
            return self.no_pairs()
        again = rows.filter(~pl.col("question").is_first_distinct())
        first = rows.filter(pl.col("question").is_first_distinct()).select("question", first="row")
        again = again.join(first, on="question", how="left", maintain_order="left").with_columns(
            why=pl.format("its prompt stands in row {} already", "first")
        )
        distinct = rows.height - again.height
        often, count = rows["chosen"].value_counts(sort=True).row(0)
        observed: dict[str, Number] = {
            "pairs": rows.height,
            "distinct_prompts": distinct,
            "repeated_prompts": again.height,
            "distinct_chosen": rows["chosen"].n_unique(),
            "distinct_rejected": rows["rejected"].drop_nulls().n_unique(),
            "most_frequent_chosen": count,
        }
        narrow = distinct < self.distinct_prompts * rows.height
        # In few rows any answer has a large share: twice is the least that is often.
        monotone = count > max(1, self.most_frequent * rows.height)
        same = rows.filter(pl.col("chosen") == often).with_columns(
            why=pl.format("its chosen answer stands in {} rows", pl.lit(count))
        )
        return self.found(
            not (narrow or monotone),
            f"{distinct:,} of {rows.height:,} prompts distinct"
            + (f", one answer in {count:,} rows" if monotone else ""),
            observed,
            broken=again if narrow or not monotone else same,
            examples=pairs.examples(again if narrow else same) if narrow or monotone else (),
        )
