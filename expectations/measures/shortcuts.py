"""Can a single word or a habit of layout tell the chosen answer from the rejected one?

in   frame of pairs (expectations/measures/pairs.py); slots of a renamed identity, which are masked
out  findings "S1", a one-sided feature, and "S2", a near-perfect one whatever the length

The thresholds were set on natural preference sets, none of which they may accuse, and on planted
markers, all of which they should find. Neither accuracy nor significance does so alone: a rare
marker is right about few pairs, and among 10,000 clean pairs some word is always significant.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from expectations.measures.features import SIGNIFICANT, Votes, features, votes
from expectations.measures.finding import Finding
from expectations.measures.identity import Slot, masked
from expectations.measures.pairs import EXAMPLES, EXCERPT, examples, no_pairs, text

NAMED = 10  # further features named in a finding


@dataclass(frozen=True)
class Bar:
    purity: float
    coverage: float
    excess: float = 0.0

    def __str__(self) -> str:
        excess = f", excess >= {self.excess:.2f}" if self.excess else ""
        return (
            f"no feature with purity >= {self.purity:.2f}, coverage >= {self.coverage:.0%}"
            f"{excess}, Holm p < {SIGNIFICANT}"
        )


ONE_SIDED = Bar(purity=0.90, coverage=0.01, excess=0.25)
NEAR_PERFECT = Bar(purity=0.98, coverage=0.10)


def one_sided_feature(frame: pl.DataFrame, *, slots: Sequence[Slot] = ()) -> Finding:
    promise = (
        "No word and no habit of layout stands almost always on the same side of a pair, beyond "
        "what the lengths explain."
    )
    return _judge(frame, slots, "S1", promise, ONE_SIDED)


def near_perfect_feature(frame: pl.DataFrame, *, slots: Sequence[Slot] = ()) -> Finding:
    promise = "No word and no habit of layout alone decides a tenth of the pairs."
    return _judge(frame, slots, "S2", promise, NEAR_PERFECT)


def _judge(
    frame: pl.DataFrame, slots: Sequence[Slot], check: str, promise: str, bar: Bar
) -> Finding:
    if frame.is_empty():
        return no_pairs(check, promise, "critical", str(bar))
    counted = votes(frame, slots)
    found = counted.features.filter(
        pl.col("purity") >= bar.purity,
        pl.col("coverage") >= bar.coverage,
        pl.col("excess") >= bar.excess,
        pl.col("p") < SIGNIFICANT,
    ).sort("p", "n", "feature", descending=[False, True, False])
    return Finding(
        check=check,
        promise=promise,
        severity="critical",
        passed=found.is_empty(),
        observed=_observed(counted, found),
        threshold=str(bar),
        examples=_examples(frame, slots, found),
        remedy="Strip the feature from both sides, rebalance the pairs that carry it or drop "
        "them; a name that must differ belongs into a slot. Otherwise the model learns the "
        "feature instead of the preference.",
    )


def _observed(counted: Votes, found: pl.DataFrame) -> dict[str, float | int | str]:
    observed: dict[str, float | int | str] = {
        "pairs": counted.pairs,
        "prompts": counted.prompts,
        "features_tested": counted.features.height,
        "features_found": found.height,
        "smallest_detectable_share": counted.smallest_detectable_share,
    }
    if found.is_empty():
        return observed
    worst = found.row(0, named=True)
    kind, name = _kind_and_name(worst["feature"])
    more = [_kind_and_name(feature) for feature in found["feature"][1 : NAMED + 1]]
    return observed | {
        "feature": name,
        "kind": kind,
        "prompts_only_in_chosen": worst["b"],
        "prompts_only_in_rejected": worst["c"],
        "purity": worst["purity"],
        "coverage": worst["coverage"],
        "p": worst["p"],
        "excess": worst["excess"],
        "more_features": ", ".join(n if k == "word" else f"{k}: {n}" for k, n in more),
    }


def _kind_and_name(feature: str) -> tuple[str, str]:
    """ "\\tshape\\tbold" -> ("shape", "bold"); "obviously" -> ("word", "obviously")."""
    if not feature.startswith("\t"):
        return "word", feature
    _, kind, name = feature.split("\t")
    return kind, name


def _examples(
    frame: pl.DataFrame, slots: Sequence[Slot], found: pl.DataFrame
) -> tuple[dict[str, int | str], ...]:
    """Three rows that show the worst feature on its usual side."""
    if found.is_empty():
        return ()
    worst = found.row(0, named=True)
    kind, name = _kind_and_name(worst["feature"])
    side = "chosen" if worst["b"] > worst["c"] else "rejected"
    has = {
        one: features(masked(text(one), slots, one)).list.contains(worst["feature"])
        for one in ("chosen", "rejected")
    }
    other = "rejected" if side == "chosen" else "chosen"
    shown = frame.clear()
    for start in range(0, frame.height, 1_000):
        if shown.height >= EXAMPLES:
            break
        shown = shown.vstack(frame.slice(start, 1_000).filter(has[side] & ~has[other]))
    rows = examples(shown, pl.lit(f"{kind} {name!r} only in {side}"))
    texts = shown.head(EXAMPLES).select(text("chosen"), text("rejected")).to_dicts()
    return tuple(
        row | {one: _around(answer, kind, name) for one, answer in answers.items()}
        for row, answers in zip(rows, texts, strict=True)
    )


def _around(answer: str, kind: str, name: str) -> str:
    """The part of an answer where the feature can be seen."""
    if kind == "last character" or name == "trailing white space":
        return answer[-EXCERPT:]
    at = answer.lower().find(name) if kind == "word" else 0
    start = max(0, at - EXCERPT // 2) if at + len(name) > EXCERPT else 0
    return answer[start : start + EXCERPT]
