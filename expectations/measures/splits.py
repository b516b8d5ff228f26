"""Was a question of the test set already seen in training?

in   frame of pairs (expectations/measures/pairs.py); without a column `split` it is one split
out  finding "no_prompt_in_two_splits", and `question_key`, by which a splitter can keep
     equal questions together
     normalisation: NFKC, https://unicode.org/reports/tr15/
"""

import polars as pl

from expectations.measures.finding import Finding
from expectations.measures.pairs import count_rows, with_question

# Marks stay with their letters: without them two Hindi words that differ in a vowel are one.
NEITHER_LETTER_NOR_DIGIT = r"[^\p{L}\p{M}\p{N}]+"


def question_key(question: pl.Expr) -> pl.Expr:
    """One key for all prompts that differ only in case, punctuation, spacing or letter forms.

    A prompt without a letter or digit ("??") is its own key: all of them would be one otherwise.
    """
    # NFKC changes no ASCII text, and is half of the work.
    beyond_ascii = pl.when(question.str.len_bytes() > question.str.len_chars()).then(question)
    form = pl.coalesce(beyond_ascii.str.normalize("NFKC"), question)
    key = form.str.to_lowercase().str.replace_all(NEITHER_LETTER_NOR_DIGIT, "")
    return pl.when(key == "").then(question).otherwise(key)


def no_prompt_in_two_splits(frame: pl.DataFrame) -> Finding:
    if "split" not in frame.columns:
        frame = frame.with_columns(pl.lit("one split").alias("split"))
    # Hashes are enough to compare by, and 160,000 long prompts need not be held twice.
    question = pl.col("question")
    keys = question_key(question).hash().alias("key"), question.hash().alias("exact")
    frame = with_question(frame).lazy().with_columns(keys).drop("question").collect()
    leaks, exact_leaks = _in_several_splits(frame, "key"), _in_several_splits(frame, "exact")
    splits = dict(leaks.iter_rows())
    where = pl.col("key").replace_strict(splits, default=None, return_dtype=pl.String)
    return count_rows(
        frame,
        pl.format("its prompt stands in {}", where),  # null where there is no such split
        check="no_prompt_in_two_splits",
        promise="No prompt stands in two splits, neither letter by letter nor with other case, "
        "punctuation or spacing.",
        remedy="Split by prompt, not by row: put all rows of one prompt into one split.",
        also={
            "splits": frame["split"].n_unique(),
            "prompts_shared": leaks.height,
            "prompts_shared_exactly": exact_leaks.height,
        },
    )


def _in_several_splits(frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """key, "test and train": the keys that more than one split holds."""
    seen = frame.select(key, "split").unique()
    return (
        seen.filter(pl.col(key).is_duplicated())
        .group_by(key)
        .agg(pl.col("split").sort().str.join(" and "))
    )
