"""Was nearly the same question already seen in training?

in   Pairs of two splits or more
out  finding "D2"

Found are prompts that share most of their runs of three words, by MinHash: a prompt with a few
words put before it or, if it is long, with a word changed. Not found are a short prompt with a word
changed (of ten words, one in the middle touches three runs of eight), and a prompt said in other
words or translated. Scripts without spaces are read by the character only for Han and kana.
"""

from typing import ClassVar

import polars as pl
from pydantic import Field

from expectations.measures.finding import Finding, Severity
from expectations.measures.measure import Measure, rows_of
from expectations.measures.pairs import Pairs
from expectations.measures.splits import MULTIPLIERS, SIGNATURE, asked

# Two signatures that are equal in 12 of 16 places are equal in one of these five groups at least.
GROUPS = [range(start, start + 3) for start in range(0, 15, 3)]


class NearPrompts(Measure):
    check: ClassVar[str] = "D2"
    title: ClassVar[str] = "prompts near another split"
    one_sided: ClassVar[bool] = True

    severity: Severity = Field(
        "warning", description="Some questions are alike everywhere; how many is for a person"
    )
    similarity: float = Field(
        0.7,
        ge=0.7,
        le=1,
        description="Estimated Jaccard index of the word triples from which two prompts are near; "
        "below .7 the search would miss some",
    )
    max_share: float = Field(
        0.02, ge=0, le=1, description="Of clean sets that people wrote about 1.3 % are near"
    )

    @property
    def promise(self) -> str:
        return (
            "Few prompts of a smaller split are nearly a prompt of a larger one: equal in "
            f"{self.similarity:.0%} of their runs of three words."
        )

    @property
    def threshold(self) -> str:
        return f"at most {self.max_share:.0%} of prompts"

    @property
    def remedy(self) -> str:
        return (
            "Look at the rows beside each other. Where one was made from the other, put both into "
            "one split; what the model says to them was otherwise learnt by heart."
        )

    def judge(self, pairs: Pairs) -> Finding:
        if pairs.height == 0:
            return self.no_pairs()
        if len(pairs.splits) < 2:
            return self.found(True, "one split, nothing to compare", {"splits": 1})
        rows = asked(pairs)
        by_size = rows["split"].value_counts().sort("count", "split", descending=True)
        names = by_size["split"].to_list()
        if len(names) < 2:
            return self.found(
                True, "nothing to compare: a split without a usable row", {"splits": len(names)}
            )
        near = pl.concat(
            self._near(
                rows.filter(pl.col("split") == names[place]),
                rows.filter(pl.col("split").is_in(names[:place])),
            )
            for place in range(1, len(names))
        ).sort("at")
        compared = int(by_size["count"][1:].sum())
        share = near.height / max(compared, 1)
        broken = near.select(
            "at",
            "row",
            "split",
            why=pl.format(
                "about {} % like row {} of {}",
                (100 * pl.col("equal")).round().cast(pl.Int64),
                "row_there",
                "split_there",
            ),
        )
        return self.found(
            share <= self.max_share,
            rows_of(near.height, compared),
            {
                "splits": len(pairs.splits),
                "compared": compared,
                "rows": near.height,
                "share": share,
                "too_short": rows[SIGNATURE[0]].null_count(),
            },
            broken=broken,
            examples=pairs.examples(broken),
        )

    def _near(self, small: pl.DataFrame, large: pl.DataFrame) -> pl.DataFrame:
        """The rows of `small` with the row of `large` that is most like each.

        Of rows that are equal in a group of the signature only the first is looked at, so that
        many copies of one prompt cost no more than one. Equal prompts are left to D1.
        """
        groups = _groups(small)
        first = _groups(large).join(groups, on="group", how="semi")
        first = first.unique("group", keep="first", maintain_order=True)
        met = groups.join(first, on="group", suffix="_there").select("line", "line_there").unique()
        there = large[met["line_there"]].rename(lambda name: f"{name}_there")
        equal = pl.sum_horizontal(
            (pl.col(name) == pl.col(f"{name}_there")).cast(pl.Int32) for name in SIGNATURE
        ) / len(SIGNATURE)
        return (
            pl.concat([small[met["line"]], there], how="horizontal")
            .lazy()
            .filter(pl.col("key") != pl.col("key_there"))
            .select("at", "row", "split", "row_there", "split_there", equal=equal)
            .filter(pl.col("equal") >= self.similarity)
            .sort("equal", "at", "row_there", descending=[True, False, False])
            .unique("at", keep="first")
            .collect()
        )


def _groups(rows: pl.DataFrame) -> pl.DataFrame:
    """line, group (a hash of three places of the signature): five lines for each row."""
    hashes = [
        pl.sum_horizontal(pl.col(SIGNATURE[place]) * MULTIPLIERS[place] for place in places)
        for places in GROUPS
    ]
    return (
        rows.lazy()
        .with_row_index("line")
        .filter(pl.col(SIGNATURE[0]).is_not_null())
        .select("line", group=pl.concat_list(hashes))
        .explode("group")
        .collect()
    )
