"""What is in one answer of a pair and not in the other: words and shape, one vote per prompt.

in   Pairs
out  Votes: a row per feature with b, c, E, discordant pairs, purity, coverage, excess, accuracy
     and Holm's p; names only where they are asked for

b counts prompts where the feature is only in the chosen answer, c those where it is only in the
rejected one, n = b + c. E is what b would be if only the lengths decided: per pair, the share of
pairs with a like length ratio whose longer answer was chosen. A marker has an excess |b - E| / n
of about one half; a word that merely rides on length, of about nothing.
    purity = max(b, c) / n     coverage = pairs that differ in the feature / pairs
    accuracy = 1/2 + |b - E| / prompts: how often the feature alone is right, beyond length
Gardner et al. 2021, Competency Problems, https://arxiv.org/abs/2104.08646
Zhang et al. 2024, From Lists to Emojis, https://arxiv.org/abs/2409.11704

Features are counted by their hash; `features` says what they are, a text at a time.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2

import polars as pl

from expectations.measures.features import hashed, named
from expectations.measures.identity import SIDES, Side, Slot, masked
from expectations.measures.pairs import Pairs
from expectations.measures.sign_test import holm
from expectations.measures.splits import question_key

LEAST = 10  # prompts that must differ in a feature before it is tested
SAMPLE = 20_000  # pairs kept word by word
SEED = 0

# Pairs of one prompt wait for each other, with all their features. Where they lie more than FAR
# rows apart, as many as have WAITING characters wait at a time, and the texts are read once more
# for each: it is rare, and memory stays bounded.
FAR = 1_000
WAITING = 30_000_000


@dataclass(frozen=True)
class Sample:
    """Some of the pairs word by word, which is too much to keep of all."""

    words: pl.DataFrame  # pair, vote (1: only in chosen, -1: only in rejected), feature (hash)
    texts: pl.DataFrame  # pair, prompt, chosen, rejected: hashes of what is alike


@dataclass(frozen=True)
class Votes:
    features: pl.DataFrame  # one row per feature tested, n >= LEAST; `at`: a pair that shows it
    pairs: int
    prompts: int
    sample: Sample

    def smallest_detectable_share(self, significant: float) -> float:
        """The share of prompts that a faultless marker needs to be seen among as many features.

        k one-sided votes have p = 2 * 2^-k, times m features: below the bar from
        k = log2(2m / significant). Above 1 nothing can be seen, and a pass says nothing.
        """
        tested = max(self.features.height, 1)
        return max(LEAST, ceil(log2(2 * tested / significant))) / max(self.prompts, 1)

    def blind(self, significant: float) -> bool:
        return self.smallest_detectable_share(significant) > 1


def votes(pairs: Pairs, slots: Sequence[Slot] = ()) -> Votes:
    """Count and test every feature; with slots, in the answers as they are after masking.

    Several checks ask about the same counts, which take most of the time of a suite.
    """
    return pairs.remember(f"votes {json.dumps(slots)}", lambda: _count(pairs, slots))


def names(pairs: Pairs, slots: Sequence[Slot], asked: pl.DataFrame) -> list[str]:
    """What the features (feature, at) are called, in their order."""
    known: dict[int, str] = pairs.remember(f"names {json.dumps(slots)}", dict)
    places = asked.select("feature", "at").iter_rows()
    unknown = {at for feature, at in places if feature not in known}
    if unknown:
        rows = pairs.rows(pl.Series(sorted(unknown))).select(**_answers(slots))
        known |= named(pl.concat([rows[side] for side in SIDES]))
    return [known[feature] for feature in asked["feature"]]


def _count(pairs: Pairs, slots: Sequence[Slot]) -> Votes:
    good = _prompts_and_lengths(pairs, slots)
    counts, words, texts = [_NO_COUNTS], [_NO_WORDS], [_NO_TEXTS]
    passes = good["turn"].max()
    for turn in range(1 + (passes if isinstance(passes, int) else 0)):
        start = 0
        waiting = []
        for chunk in pairs.chunks():
            rows = chunk.lazy().filter("good").select("question", **_answers(slots)).collect()
            known = good.slice(start, rows.height)
            start += rows.height
            rows = pl.concat([known, rows], how="horizontal").filter(pl.col("turn") == turn)
            found = hashed(rows.select(SIDES))
            discordant = _discordant(rows, found)
            counted, incomplete = _count_chunk(discordant)
            counts.append(counted)
            waiting.append(incomplete)
            words.append(
                discordant.filter("sampled", "is_word").select(
                    pl.col("at").alias("pair"), "vote", "feature"
                )
            )
            alike = {side: found[side]["alike"] for side in SIDES}
            texts.append(rows.with_columns(**alike).filter("sampled").select(**_TEXTS))
            if len(counts) == 10:
                counts = [_sum(counts)]
        if waiting:
            counts.append(_cast(_one_a_prompt(pl.concat(waiting))))
    prompts = good["prompt"].n_unique()
    n = pl.col("b") + pl.col("c")
    beyond_length = (pl.col("b") - pl.col("E")).abs()
    tested = (
        _sum(counts)
        .with_columns(n.alias("n"))
        .filter(pl.col("n") >= LEAST)
        .with_columns(
            (pl.max_horizontal("b", "c") / n).alias("purity"),
            (pl.col("discordant") / good.height).alias("coverage"),
            (beyond_length / n).alias("excess"),
            # Prompts, not pairs: b and E hold one vote a prompt.
            (0.5 + beyond_length / prompts).alias("accuracy"),
        )
    )
    sample = Sample(pl.concat(words), pl.concat(texts).sort("pair"))
    return Votes(holm(tested), good.height, prompts, sample)


def _answers(slots: Sequence[Slot]) -> dict[str, pl.Expr]:
    return {side: masked(pl.col(f"{side}_text"), slots, side) for side in SIDES}


def _prompts_and_lengths(pairs: Pairs, slots: Sequence[Slot]) -> pl.DataFrame:
    """A line for each good pair: at, prompt (hash), of_prompt (its pairs), r (_chosen_by_length),
    sampled, turn (when it is counted)."""
    good = pairs.facts.filter("good")
    if slots:
        lengths = pairs.select(
            {side: answer.str.len_chars() for side, answer in _answers(slots).items()}
        )
    else:
        lengths = good.select(chosen="chosen_chars", rejected="rejected_chars")
    sampled = pl.lit(True)
    if good.height > SAMPLE:
        drawn = random.Random(SEED).sample(range(good.height), SAMPLE)
        sampled = pl.int_range(pl.len()).is_in(drawn)
    far = pl.col("at").max().over("prompt") - pl.col("at").min().over("prompt") > FAR
    characters = pl.when(far).then(pl.sum_horizontal(SIDES).cast(pl.Int64)).sum()
    turns = (characters / WAITING).ceil().clip(1).cast(pl.UInt64)
    return (
        pl.concat([good.select("at", prompt="question"), lengths], how="horizontal")
        .with_columns(
            pl.len().over("prompt").alias("of_prompt"),
            _chosen_by_length().alias("r"),
            sampled.alias("sampled"),
            pl.when(far).then(pl.col("prompt") % turns).otherwise(0).cast(pl.Int64).alias("turn"),
        )
        .drop(SIDES)
    )


def _chosen_by_length() -> pl.Expr:
    """Per pair, the chance that its chosen answer is the chosen one, judged by length alone."""
    chosen, rejected = (pl.col(side) + 1 for side in SIDES)
    ratio = (chosen / rejected).log().abs()
    unequal = chosen != rejected
    rank = pl.when(unequal).then(ratio).rank("min") - 1
    quintile = (5 * rank / unequal.sum()).floor()
    q = (chosen > rejected).mean().over(quintile)
    return pl.when(chosen > rejected).then(q).when(chosen < rejected).then(1 - q).otherwise(0.5)


def _discordant(pairs: pl.DataFrame, found: Mapping[Side, pl.DataFrame]) -> pl.DataFrame:
    """A line for each feature of a pair that only one of its answers has."""
    words = pl.DataFrame({side: found[side]["words"] for side in SIDES}).with_row_index("line")
    long = [
        found[side].drop("words", "alike").with_row_index("line").unpivot(index="line")
        for side in SIDES
    ]
    shapes = pl.DataFrame(
        {"line": long[0]["line"], "chosen": long[0]["value"], "rejected": long[1]["value"]}
    ).filter(pl.col("chosen").ne_missing(pl.col("rejected")))
    parts = []
    for side, other, vote in ((*SIDES, 1), (*SIDES[::-1], -1)):
        only = words.select("line", feature=pl.col(side).list.set_difference(other))
        parts += [
            lines.with_columns(is_word=pl.lit(is_word), vote=pl.lit(vote, pl.Int8))
            for is_word, lines in (
                (True, only.explode("feature", empty_as_null=False)),
                (False, shapes.select("line", feature=side)),
            )
        ]
    lines = pl.concat(parts).filter(pl.col("feature").is_not_null())
    of_pair = pairs.select(
        "at",
        "prompt",
        "r",
        "sampled",
        (pl.col("of_prompt") == 1).alias("alone"),
        (pl.col("of_prompt") == pl.len().over("prompt")).alias("complete"),
    )
    expected = pl.when(pl.col("vote") > 0).then(pl.col("r")).otherwise(1 - pl.col("r"))
    return pl.concat([of_pair[lines["line"]], lines], how="horizontal").with_columns(E=expected)


def _count_chunk(discordant: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(counts, what waits): the pairs of one prompt vote together, some in a later chunk."""
    alone = discordant.filter("alone").with_columns(discordant=pl.lit(1, pl.UInt32))
    several = discordant.filter(~pl.col("alone")).select(
        "complete", "at", "vote", "E", "feature", key=pl.col("prompt") ^ pl.col("feature")
    )
    complete = _one_a_prompt(several.filter("complete"))
    return pl.concat([_cast(alone), _cast(complete)]), several.filter(~pl.col("complete"))


def _one_a_prompt(several: pl.DataFrame) -> pl.DataFrame:
    """The pairs of one prompt give one vote: that of their majority."""
    majority = pl.col("vote").cast(pl.Int32).sum().sign()
    return (
        several.group_by("key")
        .agg(
            pl.col("feature").first(),
            majority,
            pl.col("E").mean(),
            pl.len().alias("discordant"),
            pl.col("at").min(),
        )
        .filter(pl.col("vote") != 0)
    )


def _cast(votes: pl.DataFrame) -> pl.DataFrame:
    return votes.group_by("feature").agg(
        (pl.col("vote") > 0).sum().cast(pl.Int64).alias("b"),
        (pl.col("vote") < 0).sum().cast(pl.Int64).alias("c"),
        pl.col("E").sum(),
        pl.col("discordant").sum().cast(pl.Int64),
        pl.col("at").min(),
    )


def _sum(counts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    added = [pl.col(name).sum() for name in ("b", "c", "E", "discordant")]
    return pl.concat(counts).group_by("feature").agg(*added, pl.col("at").min())


_NO_COUNTS = pl.DataFrame(
    schema={
        "feature": pl.UInt64,
        "b": pl.Int64,
        "c": pl.Int64,
        "E": pl.Float64,
        "discordant": pl.Int64,
        "at": pl.Int64,
    }
)
_NO_WORDS = pl.DataFrame(schema={"pair": pl.Int64, "vote": pl.Int8, "feature": pl.UInt64})
_TEXTS = {
    "pair": pl.col("at"),
    "prompt": question_key(pl.col("question")).hash(),
    "chosen": pl.col("chosen"),
    "rejected": pl.col("rejected"),
}
_NO_TEXTS = pl.DataFrame(
    schema={"pair": pl.Int64, "prompt": pl.UInt64, "chosen": pl.UInt64, "rejected": pl.UInt64}
)
