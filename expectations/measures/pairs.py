"""How a measure reads a frame of pairs, and how it reports rows that break a promise.

in   DataFrame: row (int), split (str, may be absent), tokens (int, only for the length check),
     prompt, chosen, rejected: List(Struct{role, content}), conversational preference rows
     https://huggingface.co/docs/trl/dataset_formats
out  expressions over that frame, example rows, and the finding of a check that counts rows
"""

import polars as pl

from expectations.measures.finding import Finding, Severity

EXCERPT = 120  # characters of each answer shown in an example row
EXAMPLES = 3


def roles(column: str) -> pl.Expr:
    """The roles of a list of messages as "system,user,assistant"; "" for null or no messages."""
    role = pl.element().struct.field("role").fill_null("null")
    return pl.col(column).list.eval(role).list.join(",").fill_null("")


def contents(column: str) -> pl.Expr:
    """The texts of a list of messages; null texts are "", a null list is an empty one."""
    content = pl.element().struct.field("content").fill_null("")
    return pl.col(column).list.eval(content).fill_null(pl.lit([], dtype=pl.List(pl.String)))


def text(column: str) -> pl.Expr:
    """All messages of one side as a single string, one below the other."""
    return contents(column).list.join("\n")


def with_question(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `question`: the text of the prompt without its system message.

    A system message is often the same in every row; what is asked begins after it.
    """
    first = pl.col("prompt").list.first().struct.field("role")
    after_system = (first == "system").fill_null(False).cast(pl.Int64)
    question = contents("prompt").list.slice(after_system).list.join("\n")
    return frame.with_columns(question.alias("question"))


def examples(rows: pl.DataFrame, why: pl.Expr) -> tuple[dict[str, int | str], ...]:
    """The first three of `rows` in the order given, each with the reason it is shown."""
    return tuple(
        rows.head(EXAMPLES)
        .select(
            "row",
            why.alias("why"),
            contents("prompt").list.last().fill_null("").str.tail(EXCERPT).alias("prompt_end"),
            text("chosen").str.head(EXCERPT),
            text("rejected").str.head(EXCERPT),
        )
        .to_dicts()
    )


def no_pairs(check: str, promise: str, severity: Severity, threshold: str) -> Finding:
    """A promise about nothing is not kept: zero pairs mean that a step before this one failed."""
    return Finding(
        check=check,
        promise=promise,
        severity=severity,
        passed=False,
        observed={"pairs": 0},
        threshold=threshold,
        examples=(),
        remedy="0 pairs: there is nothing to judge. See what the steps before dropped, and why.",
    )


def count_rows(
    frame: pl.DataFrame,
    why: pl.Expr,
    *,
    check: str,
    promise: str,
    remedy: str,
    threshold: str = "0 rows",
    also: dict[str, float | int | str] | None = None,
) -> Finding:
    """The finding of a check that allows no row; `why` is null for a good row, else the reason."""
    if frame.is_empty():
        return no_pairs(check, promise, "critical", threshold)
    broken = frame.with_columns(why.alias("why")).filter(pl.col("why").is_not_null())
    return Finding(
        check=check,
        promise=promise,
        severity="critical",
        passed=broken.is_empty(),
        observed={
            "pairs": frame.height,
            "rows": broken.height,
            "share": broken.height / frame.height,
            **(also or {}),
        },
        threshold=threshold,
        examples=examples(broken, pl.col("why")),
        remedy=remedy,
    )
