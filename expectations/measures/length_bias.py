"""Could the length alone tell the chosen answer from the rejected one?

in   Pairs; for L3 what `summary` says of a set to compare with
out  findings "L1", length decides, "L2", length leans to one side, and "L3", it leans differently
     from the reference set. Lengths are characters, pairs of equal length give no vote

Wilson 1927; Park et al. 2024, R-DPO, https://arxiv.org/abs/2403.19159
Singhal et al. 2024, A Long Way to Go, https://arxiv.org/abs/2310.03716
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import polars as pl
from pydantic import Field, field_validator

from expectations.measures.finding import Finding, Number, Severity
from expectations.measures.identity import SIDES, Side, Slot, masked
from expectations.measures.measure import Measure
from expectations.measures.pairs import Pairs

Z99 = 2.5758  # of a two-sided interval of 99 %
# Of log2(chosen / rejected): 25 bins from 1/8 to 8 times, the middle one for about equal.
EDGES = [step / 4 - 1 / 8 for step in range(-12, 14)]

# The mean ratio has no interval: of 50 pairs drawn from HH-RLHF it leaves [1/1.75, 1.75] by chance
# in 5 draws of 100, of 200 pairs in 1 of 2,000. The share judges fewer pairs by itself.
LEAST_FOR_RATIO = 200
CUT = 0.99  # of all answers: without it one answer of 60,000 words moves the mean of 1,000 pairs
SHOWN = 20  # pairs named when the ratio fails


@dataclass(frozen=True)
class Lengths:
    pairs: int
    unequal: int
    longer_chosen: int
    ratio: float  # mean length of chosen answers / of rejected ones, the longest 1 % cut
    histogram: dict[str, list[float]]

    @property
    def share(self) -> float:
        return self.longer_chosen / self.unequal if self.unequal else 0.5

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.longer_chosen, self.unequal)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """99 % interval of a share; with nothing counted it may be anything."""
    if not n:
        return 0.0, 1.0
    share, z2 = hits / n, Z99 * Z99
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z99 / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def lengths(pairs: Pairs, slots: Sequence[Slot] = ()) -> Lengths:
    """With slots, of the answers as they are after masking: a longer name is no longer answer."""
    return pairs.remember(f"lengths {json.dumps(slots)}", lambda: _count(_chars(pairs, slots)))


def _chars(pairs: Pairs, slots: Sequence[Slot]) -> pl.DataFrame:
    """at, row, split, chosen_chars, rejected_chars of each good row."""
    good = pairs.facts.filter("good")
    if not slots:
        return good
    texts = {side: masked(pl.col(f"{side}_text"), slots, side) for side in SIDES}
    counted = {f"{side}_chars": text.str.len_chars() for side, text in texts.items()}
    return good.with_columns(pairs.select(counted).get_columns())


def _most_unequal(pairs: Pairs, slots: Sequence[Slot], longer: Side) -> pl.DataFrame:
    """at, row, split, why: the pairs that make one side longer more than others do."""
    chosen, rejected = pl.col("chosen_chars"), pl.col("rejected_chars")
    more = (chosen.cast(pl.Int64) - rejected) * (1 if longer == "chosen" else -1)
    return (
        _chars(pairs, slots)
        .sort(more, "at", descending=[True, False])
        .head(SHOWN)
        .select(
            "at",
            "row",
            "split",
            why=pl.format("chosen has {} characters, rejected {}", chosen, rejected),
        )
    )


def _count(rows: pl.DataFrame) -> Lengths:
    chosen, rejected = rows["chosen_chars"], rows["rejected_chars"]
    cut = pl.concat([chosen, rejected]).quantile(CUT, "nearest")
    means = [float(side.clip(upper_bound=cut).sum()) for side in (chosen, rejected)]
    ratios = (chosen / rejected).log(2).drop_nans().clip(EDGES[0], EDGES[-1])
    return Lengths(
        pairs=rows.height,
        unequal=rows.filter(chosen != rejected).height,
        longer_chosen=rows.filter(chosen > rejected).height,
        ratio=means[0] / max(means[1], 1),
        histogram={"edges": EDGES, "counts": ratios.hist(bins=EDGES)["count"].to_list()},
    )


class LengthDecides(Measure):
    check: ClassVar[str] = "L1"
    title: ClassVar[str] = "length decides"

    share: float = Field(
        0.75,
        gt=0.5,
        le=1,
        description="How often the longer answer may be the chosen one, and the shorter one: the "
        "99 % interval must reach below it. Natural sets lie between .4 and .65",
    )
    ratio: float = Field(
        1.75,
        gt=1,
        description="Mean characters of the chosen answers / of the rejected ones, and the other "
        "way round, each length cut at the 99th percentile of all answers so that a few do not "
        "decide; asked from 200 pairs on. Natural sets have .8 to 1.35; answers twice as long "
        "must fail, which at a bar of 2 itself is a coin's toss",
    )
    slots: list[Slot] = Field([], description="Names that are masked before characters are counted")

    @property
    def promise(self) -> str:
        return "The length of the answers does not decide which one is chosen."

    @property
    def threshold(self) -> str:
        return (
            f"{1 - self.share:.0%} to {self.share:.0%}, "
            f"ratio {1 / self.ratio:.2f} to {self.ratio:.2f}"
        )

    @property
    def remedy(self) -> str:
        return (
            "Shorten or drop the longest answers of the side that is longer, or sample pairs of "
            "like length. Otherwise the model learns how long an answer should be, not how good."
        )

    def judge(self, pairs: Pairs) -> Finding:
        if pairs.height == 0:
            return self.no_pairs()
        seen = lengths(pairs, self.slots)
        low, high = seen.interval
        by_share = low > self.share or high < 1 - self.share
        by_ratio = seen.pairs >= LEAST_FOR_RATIO and not (
            1 / self.ratio <= seen.ratio <= self.ratio
        )
        broken = None
        if by_ratio:
            longer: Side = "chosen" if seen.ratio > 1 else "rejected"
            broken = _most_unequal(pairs, self.slots, longer)
        observed: dict[str, Number] = {
            "pairs": seen.pairs,
            "unequal_pairs": seen.unequal,
            "longer_is_chosen": seen.share,
            "interval_low": low,
            "interval_high": high,
            "mean_ratio": seen.ratio,
        }
        return self.found(
            not (by_share or by_ratio),
            f"longer chosen in {seen.share:.0%} ({low:.0%} to {high:.0%}), "
            f"mean ratio {seen.ratio:.2f}",
            observed,
            broken=broken,
            examples=() if broken is None else pairs.examples(broken),
            details={"histogram": seen.histogram},
        )


class LengthLeans(LengthDecides):
    check: ClassVar[str] = "L2"
    title: ClassVar[str] = "length bias"

    severity: Severity = Field(
        "warning", description="Some natural sets lean to length: readers know, nothing stops"
    )
    share: float = Field(0.60, gt=0.5, le=1, description="As in L1, where a bias becomes worth it")
    ratio: float = Field(1.5, gt=1, description="As in L1")

    @property
    def promise(self) -> str:
        return "Longer answers are chosen about as often as shorter ones."


class LengthDrift(Measure):
    check: ClassVar[str] = "L3"
    title: ClassVar[str] = "length drift"

    severity: Severity = Field(
        "warning", description="Another length habit may be wanted; that it changed should be known"
    )
    z: float = Field(
        3.3, gt=0, description="Two-proportion z: by chance alone in one comparison of a thousand"
    )
    reference: dict[str, int] = Field(
        description="unequal_pairs and longer_chosen of the set to compare with"
    )

    @field_validator("reference")
    @classmethod
    def _says_both(cls, reference: dict[str, int]) -> dict[str, int]:
        if set(reference) != {"unequal_pairs", "longer_chosen"}:
            raise ValueError("needs unequal_pairs and longer_chosen, nothing else")
        return reference

    @classmethod
    def summary(cls, pairs: Pairs) -> dict[str, Number]:
        seen = lengths(pairs)
        return {"unequal_pairs": seen.unequal, "longer_chosen": seen.longer_chosen}

    @property
    def promise(self) -> str:
        return "The longer answer is chosen as often as in the reference set."

    @property
    def threshold(self) -> str:
        return f"z <= {self.z:.1f} between the two shares"

    @property
    def remedy(self) -> str:
        return "Look at what changed between the two sets: source, sampling or the judge."

    def judge(self, pairs: Pairs) -> Finding:
        if pairs.height == 0:
            return self.no_pairs()
        seen = lengths(pairs)
        n, hits = seen.unequal, seen.longer_chosen
        n_before, hits_before = self.reference["unequal_pairs"], self.reference["longer_chosen"]
        if not n or not n_before:
            return self.found(
                False,
                "no pairs of unequal length to compare",
                {"unequal_pairs": n, "reference_unequal_pairs": n_before},
                severity="warning",
            )
        before = hits_before / n_before
        z = two_proportion_z(hits, n, hits_before, n_before)
        return self.found(
            abs(z) <= self.z,
            f"longer chosen in {seen.share:.0%}, in the reference {before:.0%}, z = {z:.1f}",
            {
                "longer_is_chosen": seen.share,
                "unequal_pairs": n,
                "reference_longer_is_chosen": before,
                "reference_unequal_pairs": n_before,
                "z": z,
            },
        )


def two_proportion_z(hits: float, n: float, other_hits: float, other_n: float) -> float:
    """How many standard errors two shares lie apart, if they were one; 0 where nothing varies."""
    if not n or not other_n:
        return 0.0
    together = (hits + other_hits) / (n + other_n)
    error = sqrt(together * (1 - together) * (1 / n + 1 / other_n))
    return (hits / n - other_hits / other_n) / error if error else 0.0
