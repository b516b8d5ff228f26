"""Can all words together tell the chosen answer from the rejected one, in pairs not seen before?

in   Pairs; slots of a renamed identity, which are masked
out  finding "B1": held-out accuracy of a bag of words. Natural sets lie at .55 to .73: words do
     hold some of what people prefer

Each word weighs log((b + 1) / (c + 1)), b and c its pairs in the other folds where it is only in
the chosen answer and only in the rejected one. A pair is right if the words in which its answers
differ weigh more on the chosen side; a tie counts half. Pairs that share a prompt or an answer,
letter and digit by letter and digit, stay in one fold: what is known of one is known of the other.
"""

import random
from math import sqrt
from typing import ClassVar

import polars as pl
from pydantic import Field

from expectations.measures.finding import Finding, Severity
from expectations.measures.identity import Slot
from expectations.measures.measure import Measure, several
from expectations.measures.pairs import Pairs
from expectations.measures.votes import SEED, Sample, votes

FOLDS = 5


class BagOfWords(Measure):
    check: ClassVar[str] = "B1"
    title: ClassVar[str] = "bag of words"

    severity: Severity = Field(
        "warning", description="Words that differ may be what is preferred: look, do not stop"
    )
    accuracy: float = Field(
        0.75,
        gt=0.5,
        le=1,
        description="Held-out accuracy less two standard errors; natural sets have .55 to .73",
    )
    slots: list[Slot] = Field([], description="Names that are masked before words are counted")

    @property
    def promise(self) -> str:
        return (
            f"Words without their order do not tell the chosen answer in {self.accuracy:.0%} of "
            "the pairs that they were not learned from."
        )

    @property
    def threshold(self) -> str:
        return f"under {self.accuracy:.0%}"

    @property
    def remedy(self) -> str:
        return (
            "Read the words that S1 to S4 name, and some pairs: if style, source or model decides "
            "instead of content, take both answers from the same source."
        )

    def judge(self, pairs: Pairs) -> Finding:
        if pairs.height == 0:
            return self.no_pairs()
        sample = votes(pairs, self.slots).sample
        count = sample.texts.height
        groups = group(sample.texts)
        apart = len(set(groups))
        if apart < FOLDS:
            return self.found(
                False,
                f"cannot be held out: {several(apart, 'different group')} of pairs",
                {"pairs_sampled": count, "groups": apart},
                severity="warning",
            )
        accuracy = held_out(sample, groups)
        error = sqrt(accuracy * (1 - accuracy) / count)
        least = accuracy - 2 * error
        return self.found(
            least < self.accuracy,
            f"right in {accuracy:.1%} of {count:,} pairs held out, at least {least:.1%}",
            {
                "pairs_sampled": count,
                "groups": apart,
                "accuracy": accuracy,
                "standard_error": error,
                "accuracy_at_least": least,
            },
        )


def group(texts: pl.DataFrame) -> list[int]:
    """A number per pair, the same for pairs that hang together by a prompt or an answer."""
    parent = list(range(texts.height))

    def root(pair: int) -> int:
        while parent[pair] != pair:
            parent[pair] = parent[parent[pair]]
            pair = parent[pair]
        return pair

    first: dict[tuple[str, int], int] = {}
    for pair, (prompt, *answers) in enumerate(
        texts.select("prompt", "chosen", "rejected").iter_rows()
    ):
        for key in (("prompt", prompt), *(("answer", answer) for answer in answers)):
            parent[root(pair)] = root(first.setdefault(key, pair))
    return [root(pair) for pair in range(texts.height)]


def held_out(sample: Sample, groups: list[int]) -> float:
    """The share of pairs told right by weights from the other folds."""
    draw = random.Random(SEED)
    fold_of = {number: draw.randrange(FOLDS) for number in sorted(set(groups))}
    folds = sample.texts.select("pair").with_columns(
        pl.Series("fold", [fold_of[number] for number in groups], dtype=pl.Int8)
    )
    words = sample.words.join(folds, on="pair")
    chosen = pl.col("vote") > 0
    seen = words.group_by("feature", "fold").agg(b=chosen.sum(), c=(~chosen).sum())
    others = {name: pl.col(name).sum().over("feature") - pl.col(name) for name in ("b", "c")}
    weights = seen.select("feature", "fold", weight=((others["b"] + 1) / (others["c"] + 1)).log())
    scores = (
        words.join(weights.filter(pl.col("weight") != 0), on=["feature", "fold"])
        .group_by("pair")
        .agg((pl.col("vote") * pl.col("weight")).sum().round(9).sign().alias("side"))
    )
    return 0.5 + float(scores["side"].sum()) / 2 / folds.height
