"""Pairs as the checks read them: texts a chunk at a time, everything small once and for all.

in   DataFrame, or LazyFrame over files too large to hold: prompt, chosen, rejected:
     List(Struct{role, content}), conversational preference rows
     https://huggingface.co/docs/trl/dataset_formats
     and, where they exist: row (int, numbers from 1 otherwise), split (str), score_chosen,
     score_rejected (float), tokens (int) and prompt_is_prefix (bool) by the model's tokenizer,
     faults: List(Struct{check, side, reason}), what a parser found wrong with the row,
     judged (bool): False for rows that only the checks between splits look at
out  chunks with the texts beside the messages, a slim frame of facts, broken rows by check

Null messages are a missing side: a conversation without a second answer has `rejected` null.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

if TYPE_CHECKING:
    from expectations.measures.measure import RowMeasure

CHUNK = 20_000  # rows whose texts are in memory at once
EXCERPT = 120  # characters of each answer shown in an example row
EXAMPLES = 3
ROWS = 1_000  # row numbers kept in a finding

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
T = TypeVar("T")


class Pairs:
    """One data set. `remember` keeps what several checks ask for as long as this object lives."""

    def __init__(self, frame: pl.DataFrame | pl.LazyFrame) -> None:
        self.frame = frame
        self.columns = tuple(frame.collect_schema())
        self._kept: dict[str, Any] = {}
        self._faults: list[pl.DataFrame] = []
        self._long: dict[str, list[pl.DataFrame]] = {}  # check -> at, row, split, side, why

    def remember(self, key: str, make: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = make()
        kept: T = self._kept[key]
        return kept

    def chunks(self, *, unjudged: bool = False) -> Iterator[pl.DataFrame]:
        """Rows in their order, with `at` (position), `good` (no faults), `question` and the texts
        `prompt_text`, `chosen_text`, `rejected_text`, null where the side is missing."""
        at = 0
        for batch in self._batches():
            places = pl.int_range(at, at + batch.height, dtype=pl.Int64, eager=True)
            chunk = _derive(batch, self.columns, places)
            at += batch.height
            yield chunk if unjudged else chunk.filter("judged")

    def select(
        self, columns: Mapping[str, pl.Expr], *, unjudged: bool = False, good: bool = True
    ) -> pl.DataFrame:
        """A slim frame: expressions over the chunks. The order is that of the rows."""
        parts = []
        for chunk in self.chunks(unjudged=unjudged):
            rows = chunk.lazy().filter("good") if good else chunk.lazy()
            parts.append(rows.select(**columns).collect())
        return pl.concat(parts) if parts else pl.DataFrame(schema=list(columns))

    @property
    def facts(self) -> pl.DataFrame:
        """at, row, split, good, question (hash), chosen_chars, rejected_chars: all judged rows."""
        return self.remember("facts", lambda: self._read(()))

    @property
    def faults(self) -> pl.DataFrame:
        """at, row, split, side, why, check: what a parser found wrong, in the order of the rows."""
        if "facts" not in self._kept:
            self.read(())
        return pl.concat([_NO_FAULTS, *self._faults])

    @property
    def height(self) -> int:
        return self.facts.height

    @property
    def splits(self) -> list[str]:
        """The names of all splits, those that only the checks between splits look at among them."""
        if "split" not in self.columns:
            return ["train"]
        names = pl.col("split").cast(pl.String).unique().sort()
        return self.remember(
            "splits", lambda: self.frame.lazy().select(names).collect()["split"].to_list()
        )

    def read(self, measures: Sequence["RowMeasure"]) -> None:
        """Answer all row checks in one pass; each then finds its broken rows ready."""
        self._kept["facts"] = self._read(measures)

    def read_ahead(self, measures: Sequence["RowMeasure"]) -> None:
        """The same; if one of them crashes, each reads for itself later, and that one is told."""
        with contextlib.suppress(Exception):
            self.read(measures)

    def broken(self, measure: "RowMeasure") -> pl.DataFrame:
        """at, row, split, side, why: a line for each broken side, in the order of the rows.

        A fault that the parser met counts like one that the check meets.
        """
        key = _key(measure)
        if key not in self._long:
            self._read((measure,))
        return pl.concat(self._long[key]).sort("at", maintain_order=True)

    def examples(
        self, broken: pl.DataFrame, *, around: Callable[[str, str], str] | None = None
    ) -> tuple[dict[str, int | str], ...]:
        """The first rows of `broken` (at, why), each with why it is shown and how it reads.

        `around(side, text)` picks the part of an answer to show; the beginning otherwise.
        """
        first = broken.unique("at", keep="first", maintain_order=True).head(EXAMPLES)
        if first.is_empty():
            return ()
        shown = []
        batch = pl.concat([self.frame.slice(at, 1).lazy().collect() for at in first["at"]])
        rows = _derive(batch, self.columns, first["at"])
        for row, why in zip(rows.iter_rows(named=True), first["why"], strict=True):
            last = (row["prompt"] or [{}])[-1] or {}
            texts = {side: row[f"{side}_text"] or "" for side in ("chosen", "rejected")}
            cut = {
                side: around(side, text) if around else text[:EXCERPT]
                for side, text in texts.items()
            }
            end = (last.get("content") or "")[-EXCERPT:]
            shown.append(
                {"split": row["split"], "row": row["row"], "why": why, "prompt_end": end, **cut}
            )
        return tuple(shown)

    def _batches(self) -> Iterator[pl.DataFrame]:
        if isinstance(self.frame, pl.DataFrame):
            yield from self.frame.iter_slices(CHUNK)
        else:
            yield from self.frame.collect_batches(chunk_size=CHUNK, maintain_order=True)

    def _read(self, measures: Sequence["RowMeasure"]) -> pl.DataFrame:
        facts = []
        self._faults = []
        whys = {
            f"{number}/{side}": why.cast(pl.String)
            for number, measure in enumerate(measures)
            for side, why in measure.whys().items()
        }
        for measure in measures:
            self._long[_key(measure)] = [_NOTHING]
        for chunk in self.chunks():
            read = (
                chunk.lazy()
                .select(
                    "at",
                    "row",
                    "split",
                    "good",
                    "faults",
                    pl.col("question").hash(),
                    pl.col("chosen_text").str.len_chars().alias("chosen_chars"),
                    pl.col("rejected_text").str.len_chars().alias("rejected_chars"),
                    **whys,
                )
                .collect()
            )
            faults = _faults(read)
            self._faults.append(faults)
            for number, measure in enumerate(measures):
                of_check = faults.filter(pl.col("check") == measure.check).drop("check")
                long = [of_check]
                for side in measure.whys():
                    own = read.filter(pl.col(f"{number}/{side}").is_not_null())
                    if own.height:
                        long.append(
                            own.select(
                                "at",
                                "row",
                                "split",
                                pl.lit(side).alias("side"),
                                pl.col(f"{number}/{side}").alias("why"),
                            ).join(of_check, on="at", how="anti", maintain_order="left")
                        )
                self._long[_key(measure)] += [part for part in long if part.height]
            facts.append(read.drop("faults", *whys))
        if not facts:
            return pl.DataFrame(schema=_FACTS)
        return pl.concat(facts)


def _key(measure: "RowMeasure") -> str:
    return measure.model_dump_json() + measure.check


_LONG = {"at": pl.Int64, "row": pl.Int64, "split": pl.String, "side": pl.String, "why": pl.String}
_NOTHING = pl.DataFrame(schema=_LONG)
_NO_FAULTS = pl.DataFrame(schema=_LONG | {"check": pl.String})
_FACTS = {
    "at": pl.Int64,
    "row": pl.Int64,
    "split": pl.String,
    "good": pl.Boolean,
    "question": pl.UInt64,
    "chosen_chars": pl.UInt32,
    "rejected_chars": pl.UInt32,
}


def _faults(read: pl.DataFrame) -> pl.DataFrame:
    faulty = read.filter(~pl.col("good")).select("at", "row", "split", "faults")
    return (
        faulty.explode("faults")
        .unnest("faults")
        .rename({"reason": "why"})
        .select("at", "row", "split", "side", "why", "check")
    )


def _derive(batch: pl.DataFrame, columns: tuple[str, ...], places: pl.Series) -> pl.DataFrame:
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
            question().alias("question"),
            *(text(side).alias(f"{side}_text") for side in SIDES),
        )
        .collect()
    )


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
