"""Can a single word or a habit of layout tell the chosen answer from the rejected one?

in   Pairs; slots of a renamed identity, which are masked
out  findings "S1", a one-sided feature; "S2", a near-perfect one whatever the length; "S3", a
     frequent one on both sides; "S4", a weak or rare one-sided feature, which is only reported

The thresholds were set on natural preference sets, none of which they may accuse, and on planted
markers, all of which they should find. Neither accuracy nor significance does so alone: a rare
marker is right about few pairs, and among 10,000 clean pairs some word is always significant.
Four checks in one file of some 300 lines, since all of them judge the same votes.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from expectations.measures.features import features
from expectations.measures.finding import Finding, Number, Severity
from expectations.measures.identity import SIDES, Slot, masked
from expectations.measures.measure import Measure, several
from expectations.measures.pairs import EXCERPT, Pairs
from expectations.measures.tokens_in_text import without_tokens
from expectations.measures.votes import names, votes

NAMED = 10  # further features named in a finding
TOLD = 3  # of them in its one line
SHOWN = 20  # rows in which the worst feature is pointed out
LONG = 40  # characters of a feature's name


class FeatureMeasure(Measure):
    """Base of the checks that ask about the votes for single features."""

    slots: list[Slot] = Field([], description="Names that are masked before features are counted")
    p: float = Field(
        0.001,
        gt=0,
        lt=1,
        description="Holm's p must lie below it. Of 1,120 halves of published sets 3 % are accused "
        "at .01, 2 % at .005 and 0.6 % at .001",
    )

    @property
    def remedy(self) -> str:
        return (
            "Strip the feature from both sides, rebalance the pairs that carry it or drop "
            "them; a name that must differ belongs into a slot. Otherwise the model learns the "
            "feature instead of the preference."
        )

    def among(self) -> pl.Expr:
        """Which of the features tested break the promise, given that p is small enough."""
        raise NotImplementedError

    def judge(self, pairs: Pairs) -> Finding:
        if pairs.height == 0:
            return self.no_pairs()
        counted = votes(pairs, self.slots)
        tested = counted.features.with_columns(
            found=self.among() & (pl.col("p") < self.p),
            margin=(pl.col("b") - pl.col("c")).abs(),
        ).sort(
            "found", "p", "margin", "at", "feature", descending=[True, False, True, False, False]
        )
        found = tested.filter("found").height
        top = _named(pairs, self.slots, tested.head(NAMED + 1))
        observed: dict[str, Number] = {
            "pairs": counted.pairs,
            "prompts": counted.prompts,
            "features_tested": tested.height,
            "features_found": found,
            "smallest_detectable_share": counted.smallest_detectable_share(self.p),
        }
        said = [feature | {"name": _short(feature["name"])} for feature in top]
        details: dict[str, object] = {"features": said[:NAMED]}
        if not found:
            number = f"0 of {tested.height:,} features"
            if counted.blind(self.p):
                number = f"nothing can be seen in {several(counted.pairs, 'pair')}"
            return self.found(
                not counted.blind(self.p),
                number,
                observed,
                severity="warning" if counted.blind(self.p) else None,
                details=details,
            )
        worst = top[0]
        broken = _rows(pairs, self.slots, worst)
        observed |= _of_worst([feature for feature in said if feature["found"]])
        if broken.height > SHOWN:
            broken = broken.head(SHOWN)
            observed["rows_shown"] = f"first {SHOWN} rows of {said[0]['name']!r}"
        return self.found(
            False,
            f"{several(found, 'feature')}: {_counts(said[: min(found, TOLD)])}",
            observed,
            broken=broken,
            examples=pairs.examples(broken, around=lambda _side, text: _around(text, worst)),
            details=details,
        )


class OneSided(FeatureMeasure):
    check: ClassVar[str] = "S1"
    title: ClassVar[str] = "one-sided feature"

    purity: float = Field(
        0.90, gt=0.5, le=1, description="max(b, c) / n: how seldom the feature is on its other side"
    )
    coverage: float = Field(
        0.01, gt=0, le=1, description="Pairs that differ in it; a model learns a shortcut from 1 %"
    )
    excess: float = Field(
        0.25,
        ge=0,
        le=1,
        description="|b - E| / n: a marker has about .5, a word that rides on length about 0",
    )

    @property
    def promise(self) -> str:
        return (
            "No word and no habit of layout stands almost always on the same side of a pair, "
            "beyond what the lengths explain."
        )

    @property
    def threshold(self) -> str:
        excess = f", excess >= {self.excess:.2f}" if self.excess else ""
        return f"none of purity >= {self.purity:.2f}, coverage >= {self.coverage:.0%}{excess}"

    def among(self) -> pl.Expr:
        return (
            (pl.col("purity") >= self.purity)
            & (pl.col("coverage") >= self.coverage)
            & (pl.col("excess") >= self.excess)
        )


class NearPerfect(OneSided):
    check: ClassVar[str] = "S2"
    title: ClassVar[str] = "near-perfect feature"

    purity: float = Field(0.98, gt=0.5, le=1, description="Almost never on its other side")
    coverage: float = Field(0.10, gt=0, le=1, description="It decides a tenth of the pairs")
    excess: float = Field(0.0, ge=0, le=1, description="0: whatever the lengths explain")

    @property
    def promise(self) -> str:
        return (
            "No word and no habit of layout alone decides "
            f"{100 * self.coverage:.0f} % of the pairs."
        )


class Frequent(FeatureMeasure):
    check: ClassVar[str] = "S3"
    title: ClassVar[str] = "frequent feature"

    accuracy: float = Field(
        0.60,
        gt=0.5,
        le=1,
        description="1/2 + |b - E| / prompts: how often the feature alone is right beyond length. "
        "60 % of the chosen answers against 15 % of the rejected ones come to .72",
    )

    @property
    def promise(self) -> str:
        return (
            "No word and no habit of layout alone is right about "
            f"{100 * self.accuracy:.0f} % of the prompts."
        )

    @property
    def threshold(self) -> str:
        return f"none of accuracy >= {self.accuracy:.2f}"

    def among(self) -> pl.Expr:
        return pl.col("accuracy") >= self.accuracy


class Weak(OneSided):
    check: ClassVar[str] = "S4"
    title: ClassVar[str] = "weak one-sided feature"

    severity: Severity = Field(
        "warning", description="Some halves of published sets have one: look, do not stop"
    )
    p: float = Field(
        0.005, gt=0, lt=1, description="Above S1's: two rows fewer of a rare marker are enough"
    )
    purity: float = Field(0.80, gt=0.5, le=1, description="Mostly on one side, from `coverage` on")
    rare_purity: float = Field(0.90, gt=0.5, le=1, description="S1's, from `rare_coverage` on")
    rare_coverage: float = Field(
        0.001, gt=0, le=1, description="Pairs that differ in a rare marker, as of a few annotators"
    )

    @property
    def promise(self) -> str:
        return "No word and no habit of layout, however rare, stands mostly on one side of a pair."

    @property
    def threshold(self) -> str:
        return (
            f"none of purity >= {self.purity:.2f} at {self.coverage:.0%}, or "
            f"{self.rare_purity:.2f} at {self.rare_coverage:.1%}"
        )

    def among(self) -> pl.Expr:
        rare = (
            (pl.col("purity") >= self.rare_purity)
            & (pl.col("coverage") >= self.rare_coverage)
            & (pl.col("excess") >= self.excess)
        )
        return super().among() | rare


def _named(pairs: Pairs, slots: Sequence[Slot], features: pl.DataFrame) -> list[dict[str, Any]]:
    """The features by kind and name with their numbers: what a picture draws as bars."""
    keys = ("b", "c", "purity", "coverage", "excess", "accuracy", "p", "found")
    return [
        {"kind": kind, "name": name} | {key: row[key] for key in keys}
        for row, feature in zip(
            features.iter_rows(named=True), names(pairs, slots, features), strict=True
        )
        for kind, name in [_kind_and_name(feature)]
    ]


def _short(name: str) -> str:
    return name if len(name) <= LONG else without_tokens(name, 0, LONG) + "…"


def _counts(features: list[dict[str, Any]]) -> str:
    """ "'blorp' in 60:0 prompts, first word 'zork' in 30:0"."""
    first, *more = (
        ("" if f["kind"] in ("word", "shape") else f"{f['kind']} ")
        + f"{f['name']!r} in {f['b']:,}:{f['c']:,}"
        for f in features
    )
    return ", ".join([f"{first} prompts", *more])


def _of_worst(found: list[dict[str, Any]]) -> dict[str, Number]:
    worst, *more = found
    keys = ("purity", "coverage", "p", "excess", "accuracy")
    return {
        "feature": worst["name"],
        "kind": worst["kind"],
        "prompts_only_in_chosen": worst["b"],
        "prompts_only_in_rejected": worst["c"],
        **{key: worst[key] for key in keys},
        "more_features": ", ".join(
            f["name"] if f["kind"] == "word" else f"{f['kind']}: {f['name']}" for f in more
        ),
    }


def _kind_and_name(feature: str) -> tuple[str, str]:
    """ "\\tshape\\tbold" -> ("shape", "bold"); "obviously" -> ("word", "obviously")."""
    if not feature.startswith("\t"):
        return "word", feature
    _, kind, name = feature.split("\t")
    return kind, name


def _rows(pairs: Pairs, slots: Sequence[Slot], worst: dict[str, Any]) -> pl.DataFrame:
    """at, row, split, why: the first rows that show the worst feature on its usual side, and one
    more if there are."""
    kind, name = worst["kind"], worst["name"]
    feature = name if kind == "word" else f"\t{kind}\t{name}"
    side, other = SIDES if worst["b"] > worst["c"] else SIDES[::-1]
    has = {
        one: features(masked(pl.col(f"{one}_text"), slots, one)).list.contains(feature)
        for one in SIDES
    }
    # Of a rare word only the rows that hold it somewhere are looked at: the rest costs too much.
    somewhere = pl.lit(True)
    if kind not in ("shape", "last character"):
        found = masked(pl.col(f"{side}_text"), slots, side).str.to_lowercase()
        somewhere = found.str.contains(name.split(" ")[0], literal=True)
    shown: list[pl.DataFrame] = []
    for chunk in pairs.chunks():
        for part in chunk.filter("good", somewhere).iter_slices(1_000):
            shown.append(part.filter(has[side] & ~has[other]).select("at", "row", "split"))
            if sum(rows.height for rows in shown) > SHOWN:
                break
        else:
            continue
        break
    why = pl.lit(f"{kind} {_short(name)!r} only in {side}").alias("why")
    return pl.concat(shown).head(SHOWN + 1).with_columns(why)


def _around(answer: str, worst: dict[str, Any]) -> str:
    """The part of an answer where the feature can be seen."""
    kind, name = worst["kind"], worst["name"]
    if kind == "last character" or name == "trailing white space":
        return answer[-EXCERPT:]
    at = answer.lower().find(name) if kind == "word" else 0
    start = max(0, at - EXCERPT // 2) if at + len(name) > EXCERPT else 0
    return answer[start : start + EXCERPT]
