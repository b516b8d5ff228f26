"""Was a question of the test set already seen in training?

in   Pairs of one split or several
out  finding "D1"; `question_key`, by which a splitter keeps equal questions together; `asked`, a
     slim line for each row of every split: its key, its exact text's hash, its MinHash signature
     normalisation: NFKC, https://unicode.org/reports/tr15/
     Broder 1997, On the resemblance and containment of documents
"""

import random
from typing import ClassVar

import polars as pl

from expectations.measures.finding import Finding, Number
from expectations.measures.measure import Measure, several
from expectations.measures.pairs import Pairs

# Marks stay with their letters: without them two Hindi words that differ in a vowel are one.
# Spaces go last: they are most of what is between words, and a regex pays for every match.
# Signs stay as well: "C++" is not "C#", nor is "1 + 1" what "1 - 1" asks.
NEITHER_WORD_SIGN_NOR_SPACE = r"[^\p{L}\p{M}\p{N} +=<>^#%−×÷]"
# Between words these are punctuation, between digits they reckon; twice, for "1-2-3".
RECKONED = {"-": "−", "*": "×", "/": "÷"}
RECKONS = r"[0-9] *[-*/] *[0-9]"
# NFKC changes no ASCII and none of these quotes, which stand in half of all English chats.
BEYOND_ASCII_AND_QUOTES = r"[^\x00-\x7F‘’“”–—]"
WRITTEN_WITHOUT_SPACES = r"([\p{Han}\p{Hiragana}\p{Katakana}])"

# 16 give an estimate of the Jaccard index that is off by about .1, in 64 bytes a row.
_ODD = random.Random(0)
MULTIPLIERS = [pl.lit(_ODD.getrandbits(64) | 1, pl.UInt64) for _ in range(16)]
SIGNATURE = [f"min_{number}" for number in range(len(MULTIPLIERS))]


class PromptInOneSplit(Measure):
    check: ClassVar[str] = "D1"
    title: ClassVar[str] = "prompts in two splits"
    one_sided: ClassVar[bool] = True

    @property
    def promise(self) -> str:
        return (
            "No prompt stands in two splits, neither letter by letter nor with other case, "
            "punctuation or spacing."
        )

    @property
    def threshold(self) -> str:
        return "0 prompts"

    @property
    def remedy(self) -> str:
        return "Split by prompt, not by row: put all rows of one prompt into one split."

    def judge(self, pairs: Pairs) -> Finding:
        if pairs.height == 0:
            return self.no_pairs()
        splits = len(pairs.splits)
        if splits < 2:
            return self.found(True, "one split, nothing to compare", {"splits": splits})
        rows = asked(pairs)
        shared, exact = _in_several_splits(rows, "key"), _in_several_splits(rows, "exact")
        broken = rows.join(shared, on="key", maintain_order="left").with_columns(
            why=pl.format("its prompt stands in {}", "splits")
        )
        observed: dict[str, Number] = {
            "rows": broken.height,
            "splits": splits,
            "prompts_shared": shared.height,
            "prompts_shared_exactly": exact.height,
        }
        number = f"{several(shared.height, 'prompt')} shared"
        return self.found(
            broken.is_empty(), number, observed, broken=broken, examples=pairs.examples(broken)
        )


def _in_several_splits(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """key, splits ("test and train"): the keys that more than one split holds."""
    seen = rows.select(key, "split").unique()
    return (
        seen.filter(pl.col(key).is_duplicated())
        .group_by(key)
        .agg(splits=pl.col("split").sort().str.join(" and "))
    )


def question_key(question: pl.Expr) -> pl.Expr:
    """One key for all prompts that differ only in case, punctuation, spacing or letter forms.

    Signs of sums and of names such as C++ count. A prompt without a letter, digit or sign ("??")
    is its own key: all of them would be one otherwise.
    """
    return _key(question, _words(question))


def asked(pairs: Pairs) -> pl.DataFrame:
    """at, row, split, key, exact (hashes), min_0 to min_15: every row with a prompt.

    A row whose answers are damaged still asks. Below three words there is no signature (null).
    """
    return pairs.remember(
        "asked", lambda: pl.concat(_read(chunk) for chunk in pairs.chunks(unjudged=True))
    )


def _words(question: pl.Expr) -> pl.Expr:
    """Lower-case words with spaces between them, Han and kana by the character."""
    rare = question.str.contains(BEYOND_ASCII_AND_QUOTES) | question.str.contains(RECKONS)
    form = pl.when(rare).then(question).str.normalize("NFKC")
    form = form.str.replace_all(WRITTEN_WITHOUT_SPACES, " $1 ")
    for written, sign in RECKONED.items():
        for _ in range(2):
            form = form.str.replace_all(rf"([0-9] *)[{written}]( *[0-9])", f"${{1}}{sign}${{2}}")
    return (
        pl.coalesce(form, question)
        .str.to_lowercase()
        .str.replace_all("\n", " ", literal=True)
        .str.replace_all(NEITHER_WORD_SIGN_NOR_SPACE, "")
    )


def _key(question: pl.Expr, words: pl.Expr) -> pl.Expr:
    # Not `when(key == "")`: polars would make the key twice.
    key = words.str.replace_all(" ", "", literal=True).replace("", None)
    return pl.coalesce(key, question)


def _read(chunk: pl.DataFrame) -> pl.DataFrame:
    question, words = pl.col("question"), pl.col("words")
    asks = question.str.strip_chars() != ""
    rows = chunk.lazy().filter(asks).with_columns(words=_words(question)).collect()
    slim = rows.select(
        "at", "row", "split", key=_key(question, words).hash(), exact=question.hash()
    )
    return slim.join(_signatures(rows), on="at", how="left", maintain_order="left")


def _signatures(rows: pl.DataFrame) -> pl.DataFrame:
    """at, min_0 to min_15: the smallest of all hashes of three words in a row, in 16 orders.

    The share of equal numbers in two signatures estimates how much of the two prompts is one.
    """
    word = pl.col("word")
    # Sums and products wrap around 2^64, which is what makes them hashes.
    three = word * MULTIPLIERS[0] + word.shift(-1) * MULTIPLIERS[1] + word.shift(-2)
    return (
        rows.lazy()
        .select("at", word=pl.col("words").str.split(" "))
        .explode("word")
        .select("at", word=word.hash())
        .filter(word != pl.lit("").hash())
        .select("at", three=pl.when(pl.col("at") == pl.col("at").shift(-2)).then(three))
        .filter(pl.col("three").is_not_null())
        .group_by("at")
        .agg(
            (((pl.col("three") * odd).min()) // 2**32).cast(pl.UInt32).alias(name)
            for name, odd in zip(SIGNATURE, MULTIPLIERS, strict=True)
        )
        .collect()
    )
