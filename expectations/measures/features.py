"""What is in one answer of a pair and not in the other: words and shape, one vote per prompt.

in   frame of pairs (expectations/measures/pairs.py)
out  Votes: a row per feature with b, c, E, discordant pairs, purity, coverage, excess and Holm's p

b counts prompts where the feature is only in the chosen answer, c those where it is only in the
rejected one, n = b + c. E is what b would be if only the lengths decided: per pair, the share of
pairs with a like length ratio whose longer answer was chosen. A marker has an excess |b - E| / n
of about one half; a word that merely rides on length, of about nothing.
    purity = max(b, c) / n     coverage = pairs that differ in the feature / pairs
Gardner et al. 2021, Competency Problems, https://arxiv.org/abs/2104.08646
Zhang et al. 2024, From Lists to Emojis, https://arxiv.org/abs/2409.11704
"""

import json
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp, lgamma, log, log2

import polars as pl

from expectations.measures.identity import Slot, masked
from expectations.measures.pairs import text, with_question

CHUNK = 20_000  # pairs whose words are in memory at once
LEAST = 10  # prompts that must differ in a feature before it is tested
SIGNIFICANT = 0.01  # Holm's p must be below it

# Chat tokens whole, Han by the character (it writes no spaces), else runs of letters and digits.
WORD = r"<\|[^|\s]{1,40}\|>|\[/?inst\]|</?s>|\p{Han}|[\p{L}\p{M}\p{N}_'’--\p{Han}]+"

# A shape is written "\tkind\tvalue" among the words of a text; no word holds a tab.
SHAPES = {
    "leading white space": r"^\s",
    "trailing white space": r"\s$",
    "bullet": r"(?m)^\s*[-*•] ",
    "numbered list": r"(?m)^\s*\d+[.)] ",
    "header": r"(?m)^#{1,6} ",
    "bold": r"\*\*[^*\n]+\*\*",
    "code": "`",
    "emoji": r"\p{Emoji_Presentation}|\x{FE0F}",
    "blank line": r"\n\s*\n",
    "newline": r"\n",
    "double space": "  ",
    "carriage return": r"\r",
    "URL": r"https?://|www\.",
    "lower-case start": r"^\s*\p{Ll}",
    "capitals": r"[A-Z]{3}",
    "non-ASCII": r"[^\x00-\x7F]",
    "role marker": r"(?:Human|Assistant|User|System):",
}
PUNCTUATION = list(".!?…:;,)\"'*`")  # at the end of an answer each is a class of its own


@dataclass(frozen=True)
class Votes:
    features: pl.DataFrame  # one row per feature tested, n >= LEAST
    pairs: int
    prompts: int

    @property
    def smallest_detectable_share(self) -> float:
        """The share of prompts that a faultless marker needs to be seen among as many features.

        k one-sided votes have p = 2 * 2^-k, times m features: below .01 from k = log2(2m / .01).
        Above 1 nothing can be seen, and a pass says nothing.
        """
        tested = max(self.features.height, 1)
        return max(LEAST, ceil(log2(2 * tested / SIGNIFICANT))) / self.prompts


def features(text: pl.Expr) -> pl.Expr:
    """The set of everything found in a text, as a list of strings."""
    words = text.str.to_lowercase().str.extract_all(WORD)
    last = text.str.strip_chars_end().str.tail(1)
    last_class = (
        pl.when(last.is_in(PUNCTUATION))
        .then(last)
        .when(last.str.contains(r"\p{L}"))
        .then(pl.lit("letter"))
        .when(last.str.contains(r"\p{N}"))
        .then(pl.lit("digit"))
        .otherwise(pl.lit("other"))
    )
    shape = [
        pl.format("\tfirst word\t{}", words.list.first()),
        pl.format("\tfirst two words\t{}", words.list.head(2).list.join(" ")),
        pl.format("\tlast character\t{}", last_class),
        *(
            pl.when(text.str.contains(pattern)).then(pl.lit(f"\tshape\t{name}"))
            for name, pattern in SHAPES.items()
        ),
    ]
    return words.list.concat(pl.concat_list(shape).list.drop_nulls())


# S1 and S2 ask about the same counts, which take most of the time of a suite: those of the frame
# seen last are kept as long as that frame lives.
_last: list[tuple[weakref.ref[pl.DataFrame], str, Votes]] = []


def votes(frame: pl.DataFrame, slots: Sequence[Slot] = ()) -> Votes:
    """Count and test every feature; with slots, in the answers as they are after masking."""
    asked = json.dumps(slots)
    for seen, slots_then, kept in _last:
        if seen() is frame and slots_then == asked:
            return kept
    counted = _count(frame, slots)
    _last[:] = [(weakref.ref(frame), asked, counted)]
    return counted


def _count(frame: pl.DataFrame, slots: Sequence[Slot]) -> Votes:
    pairs = (
        with_question(frame)
        .select(
            pl.col("question").hash().alias("prompt"),
            masked(text("chosen"), slots, "chosen").alias("chosen"),
            masked(text("rejected"), slots, "rejected").alias("rejected"),
        )
        .with_columns(_chosen_by_length().alias("r"))
        .sort("prompt")
        # A chunk ends where a prompt ends: the pairs of one prompt vote together.
        .with_columns(pl.int_range(pl.len()).alias("at"))
        .with_columns((pl.col("at").min().over("prompt") // CHUNK).alias("chunk"))
    )
    counts = [_count_chunk(chunk) for chunk in pairs.partition_by("chunk")]
    tested = (
        pl.concat(counts)
        .group_by("feature")
        .sum()
        .with_columns((pl.col("b") + pl.col("c")).alias("n"))
        .filter(pl.col("n") >= LEAST)
        .with_columns(
            (pl.max_horizontal("b", "c") / pl.col("n")).alias("purity"),
            (pl.col("discordant") / pairs.height).alias("coverage"),
            ((pl.col("b") - pl.col("E")).abs() / pl.col("n")).alias("excess"),
        )
    )
    return Votes(_with_holm(tested), pairs.height, pairs["prompt"].n_unique())


def _chosen_by_length() -> pl.Expr:
    """Per pair, the chance that its chosen answer is the chosen one, judged by length alone."""
    chosen, rejected = (pl.col(side).str.len_chars() + 1 for side in ("chosen", "rejected"))
    ratio = (chosen / rejected).log().abs()
    unequal = chosen != rejected
    rank = pl.when(unequal).then(ratio).rank("min") - 1
    quintile = (5 * rank / unequal.sum()).floor()
    q = (chosen > rejected).mean().over(quintile)
    return pl.when(chosen > rejected).then(q).when(chosen < rejected).then(1 - q).otherwise(0.5)


def _count_chunk(pairs: pl.DataFrame) -> pl.DataFrame:
    # Lazy, since the words of a text are asked for three times and polars then finds them once.
    pairs = (
        pairs.lazy()
        .select(
            "prompt",
            "r",
            pl.col("prompt").is_unique().alias("alone"),
            features(pl.col("chosen")).alias("chosen"),
            features(pl.col("rejected")).alias("rejected"),
        )
        .collect()
    )
    discordant = pl.concat(
        pairs.select(
            "prompt",
            "alone",
            pl.lit(vote).alias("vote"),
            expected.alias("E"),
            pl.lit(1).alias("discordant"),
            pl.col(side).list.set_difference(other).alias("feature"),
        ).explode("feature", empty_as_null=False)
        for side, other, vote, expected in (
            ("chosen", "rejected", 1, pl.col("r")),
            ("rejected", "chosen", -1, 1 - pl.col("r")),
        )
    )
    # The pairs of one prompt give one vote: that of their majority. Most prompts have one pair.
    several = discordant.filter(~pl.col("alone")).group_by("prompt", "feature")
    votes_of_several = several.agg(
        pl.col("vote").sum().sign(), pl.col("E").mean(), pl.col("discordant").sum()
    )
    cast = pl.concat([discordant.filter("alone"), votes_of_several], how="diagonal")
    return (
        cast.filter(pl.col("vote") != 0, pl.col("feature").is_not_null())
        .group_by("feature")
        .agg(
            (pl.col("vote") > 0).sum().cast(pl.Int64).alias("b"),
            (pl.col("vote") < 0).sum().cast(pl.Int64).alias("c"),
            pl.col("E").sum(),
            pl.col("discordant").sum().cast(pl.Int64),
        )
    )


@lru_cache(maxsize=100_000)
def sign_test(b: int, c: int) -> float:
    """Exact two-sided sign test: twice the chance of as few as min(b, c) heads in b + c throws."""
    n, fewer = b + c, min(b, c)
    term = total = 1.0  # relative to the largest term, that of `fewer` heads
    heads = fewer
    while heads > 0 and term > 1e-17 * total:
        term *= heads / (n - heads + 1)
        heads -= 1
        total += term
    largest = lgamma(n + 1) - lgamma(fewer + 1) - lgamma(n - fewer + 1) - n * log(2)
    return min(1.0, 2 * total * exp(largest))


def _with_holm(tested: pl.DataFrame) -> pl.DataFrame:
    """Holm 1979: the i-th smallest of m values times (m - i + 1), never below the one before."""
    p = [sign_test(b, c) for b, c in tested.select("b", "c").iter_rows()]
    m = tested.height
    return (
        tested.with_columns(pl.Series("p", p, dtype=pl.Float64))
        .sort("p", "feature")
        .with_columns((pl.col("p") * (m - pl.int_range(pl.len()))).cum_max().clip(0, 1).alias("p"))
    )
