"""Do rows repeat each other, or take back what another row says?

in   Pairs
out  findings "P3", pairs that contradict each other, and "duplicates", pairs that stand twice;
     `prints`, a hash of each text of a row

Texts are compared without their outer white space, prompts with their system message: under
another instruction the other answer may well be the better one.
"""

from typing import ClassVar

import polars as pl
from pydantic import Field

from expectations.measures.finding import Finding, Severity
from expectations.measures.measure import Measure, rows_of
from expectations.measures.pairs import Pairs


class Contradictions(Measure):
    check: ClassVar[str] = "P3"
    title: ClassVar[str] = "contradictions"

    @property
    def promise(self) -> str:
        return "No two rows of one prompt prefer the same two answers the other way round."

    @property
    def threshold(self) -> str:
        return "0 rows"

    @property
    def remedy(self) -> str:
        return "Drop both rows of each contradiction: together they teach nothing."

    def judge(self, pairs: Pairs) -> Finding:
        if pairs.height == 0:
            return self.no_pairs()
        chosen, rejected = pl.col("chosen"), pl.col("rejected")
        two = [pl.min_horizontal("chosen", "rejected"), pl.max_horizontal("chosen", "rejected")]
        same = _repeated(pairs).filter(chosen != rejected)
        broken = (
            same.with_columns(
                other=pl.col("row").filter(chosen != chosen.first()).first().over("prompt", *two),
                first=pl.col("row").first().over("prompt", *two),
                agrees=(chosen == chosen.first()).over("prompt", *two),
            )
            .filter(pl.col("other").is_not_null())
            .with_columns(other=pl.when("agrees").then("other").otherwise("first"))
            .with_columns(why=pl.format("row {} prefers the other answer", "other"))
        )
        share = broken.height / pairs.height
        return self.found(
            broken.is_empty(),
            rows_of(broken.height, pairs.height),
            {"pairs": pairs.height, "rows": broken.height, "share": share},
            broken=broken,
            examples=pairs.examples(broken),
        )


class Duplicates(Measure):
    check: ClassVar[str] = "duplicates"
    title: ClassVar[str] = "duplicate rows"
    one_sided: ClassVar[bool] = True

    severity: Severity = Field(
        "warning", description="Reported: a pair that stands twice is a pair that weighs double"
    )
    max_share: float = Field(
        0.01, ge=0, le=1, description="Published sets hold up to 1.7 %; below 1 % it is noise"
    )

    @property
    def promise(self) -> str:
        return "Each row, a prompt with its answers, stands once."

    @property
    def threshold(self) -> str:
        return f"at most {self.max_share:.1%} of rows"

    @property
    def remedy(self) -> str:
        return "Keep the first row of each: `pairpress mend` does so."

    def judge(self, pairs: Pairs) -> Finding:
        if pairs.height == 0:
            return self.no_pairs()
        texts = ("prompt", "chosen", "rejected")
        again = (
            _repeated(pairs)
            .with_columns(
                first=pl.col("row").first().over(texts), at_first=pl.col("at").first().over(texts)
            )
            .filter(pl.col("at") != pl.col("at_first"))
            .with_columns(why=pl.format("the same as row {}", "first"))
        )
        share = again.height / pairs.height
        return self.found(
            share <= self.max_share,
            rows_of(again.height, pairs.height),
            {"pairs": pairs.height, "rows": again.height, "share": share},
            broken=again,
            examples=pairs.examples(again),
        )


def print_of(side: str) -> pl.Expr:
    """Hash of a side without outer white space. A hash is never null, what it is made of may be."""
    text = pl.col(f"{side}_text")
    return pl.when(text.is_not_null()).then(text.str.strip_chars().hash())


def prints(pairs: Pairs) -> pl.DataFrame:
    """at, row, split, question, prompt, chosen, rejected (hashes): a line for each good row.

    A side that is missing is null.
    """

    def select() -> pl.DataFrame:
        columns = {name: pl.col(name) for name in ("at", "row", "split")}
        hashes = {name: print_of(name) for name in ("prompt", "chosen", "rejected")}
        return pairs.select(columns | hashes | {"question": pl.col("question").hash()})

    return pairs.remember("prints", select)


def _repeated(pairs: Pairs) -> pl.DataFrame:
    """The rows whose prompt stands in more than one: no other can repeat or contradict a row."""
    return prints(pairs).filter(pl.col("prompt").is_duplicated())
