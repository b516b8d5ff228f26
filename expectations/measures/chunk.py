"""A batch of a frame -> a chunk, as the checks read it.

in   rows of prompt, chosen and rejected, as expectations.measures.pairs describes them
out  the same with every optional column, with the texts beside the messages, and without the access
     tokens; expressions over messages
"""

import polars as pl

from expectations.measures.tokens_in_text import first_token, perhaps, without_tokens

FAULT = pl.List(pl.Struct({"check": pl.String, "side": pl.String, "reason": pl.String}))
MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
OPTIONAL = {
    "split": pl.lit("train"),
    "score_chosen": pl.lit(None, pl.Float64),
    "score_rejected": pl.lit(None, pl.Float64),
    "tokens": pl.lit(None, pl.Int64),
    "prompt_is_prefix": pl.lit(None, pl.Boolean),
    "faults": pl.lit([], FAULT),
    "judged": pl.lit(True),
}
SIDES = ("prompt", "chosen", "rejected")


def derive(batch: pl.DataFrame, columns: tuple[str, ...], places: pl.Series) -> pl.DataFrame:
    position = pl.lit(places)
    return (
        batch.lazy()
        .with_columns(**{name: value for name, value in OPTIONAL.items() if name not in columns})
        .with_columns(
            position.alias("at"),
            (pl.col("row").cast(pl.Int64) if "row" in columns else position + 1).alias("row"),
            pl.col("split").cast(pl.String),
            *(pl.col(side).cast(MESSAGES) for side in SIDES),
        )
        .with_columns(
            (pl.col("faults").list.len() == 0).alias("good"),
            *_texts(),
            *(pl.lit(None, pl.String).alias(f"{side}_token") for side in SIDES),
        )
        .collect()
    )


def _texts() -> list[pl.Expr]:
    return [question().alias("question"), *(text(side).alias(f"{side}_text") for side in SIDES)]


def may_hold_tokens(chunk: pl.DataFrame) -> pl.Series:
    """Which rows are worth a closer look."""
    some = pl.any_horizontal(perhaps(pl.col(f"{side}_text")) for side in SIDES)
    return chunk.select(some.fill_null(False)).to_series()


def hide_tokens(chunk: pl.DataFrame, some: pl.Series) -> tuple[pl.DataFrame, list[int]]:
    """(the chunk with the access tokens hidden, where it held any); only `some` rows are read."""
    if not some.any():
        return chunk, []
    rows = chunk.with_row_index("place").filter(some)
    for side in SIDES:
        found = [first_token(text or "") for text in rows[f"{side}_text"]]
        rows = rows.with_columns(pl.Series(f"{side}_token", found, dtype=pl.String))
    rows = rows.filter(pl.any_horizontal(pl.col(f"{side}_token").is_not_null() for side in SIDES))
    if rows.is_empty():
        return chunk, []
    hidden = [pl.Series(side, list(map(_hidden, rows[side])), dtype=MESSAGES) for side in SIDES]
    rows = rows.with_columns(hidden).with_columns(_texts())
    order = pl.int_range(chunk.height, eager=True).scatter(
        rows["place"], pl.int_range(chunk.height, chunk.height + rows.height, eager=True)
    )
    return pl.concat([chunk, rows.drop("place")])[order], rows["at"].to_list()


def _hidden(messages: pl.Series | None) -> list[dict[str, str | None]] | None:
    if messages is None:
        return None
    return [
        {"role": one["role"], "content": without_tokens(one["content"] or "")} if one else one
        for one in messages
    ]


def question() -> pl.Expr:
    """What is asked, of the column prompt: a system message is often the same in every row."""
    first = pl.col("prompt").list.first().struct.field("role")
    after_system = (first == "system").fill_null(False).cast(pl.Int64)
    return contents("prompt").list.slice(after_system).list.join("\n")


def roles(column: str) -> pl.Expr:
    """The roles of a list of messages as "system,user,assistant"; "" for no messages."""
    role = pl.element().struct.field("role").fill_null("null")
    return pl.col(column).list.eval(role).list.join(",")


def contents(column: str) -> pl.Expr:
    """The texts of a list of messages; null texts are "", a null list stays null."""
    content = pl.element().struct.field("content").fill_null("")
    return pl.col(column).list.eval(content)


def text(column: str) -> pl.Expr:
    """All messages of one side as a single string, one below the other."""
    return contents(column).list.join("\n")
