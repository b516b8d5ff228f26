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
The messages of a chunk hold no access token but its first characters (tokens_in_text): what no
check reads, none can show, be it cut, in lower case or a word of its own.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from expectations.measures.chunk import derive, hide_tokens, may_hold_tokens
from expectations.measures.tokens_in_text import without_tokens

if TYPE_CHECKING:
    from expectations.measures.measure import RowMeasure

CHUNK = 20_000  # rows whose texts are in memory at once
EXCERPT = 120  # characters of each answer shown in an example row
EXAMPLES = 3
ROWS = 1_000  # row numbers kept in a finding

T = TypeVar("T")


class Pairs:
    """One data set. `remember` keeps what several checks ask for as long as this object lives."""

    def __init__(self, frame: pl.DataFrame | pl.LazyFrame) -> None:
        self.frame = frame
        self.columns = tuple(frame.collect_schema())
        self._kept: dict[str, Any] = {}
        self._searched = 0  # rows from the first on that were searched for access tokens
        self._holding: set[int] = set()  # where one was found: in further passes only these matter
        self._faults: list[pl.DataFrame] = []
        self._long: dict[str, list[pl.DataFrame]] = {}  # check -> at, row, split, side, why

    def remember(self, key: str, make: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = make()
        kept: T = self._kept[key]
        return kept

    def chunks(self, *, unjudged: bool = False) -> Iterator[pl.DataFrame]:
        """Rows in their order, with `at` (position), `good` (no faults), `question`, the texts
        `prompt_text`, `chosen_text`, `rejected_text`, null where the side is missing, and
        `prompt_token`, ..: the first access token that was hidden there."""
        for chunk in self._chunks():
            all_judged = unjudged or chunk["judged"].all(ignore_nulls=False)
            yield chunk if all_judged else chunk.filter("judged")

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

        `around(side, text)` picks the part of an answer to show; the beginning otherwise. A reason
        may name a role, which is not searched for tokens like the texts.
        """
        if broken.is_empty():
            return ()
        first = broken.unique("at", keep="first", maintain_order=True).head(EXAMPLES)
        shown = []
        rows = self.rows(first["at"])
        for row, why in zip(rows.iter_rows(named=True), first["why"], strict=True):
            last = (row["prompt"] or [{}])[-1] or {}
            texts = {side: row[f"{side}_text"] or "" for side in ("chosen", "rejected")}
            cut = {
                side: around(side, text) if around else text[:EXCERPT]
                for side, text in texts.items()
            }
            end = (last.get("content") or "")[-EXCERPT:]
            shown.append(
                {
                    "split": row["split"],
                    "row": row["row"],
                    "why": without_tokens(why),
                    "prompt_end": end,
                    **cut,
                }
            )
        return tuple(shown)

    def rows(self, at: pl.Series) -> pl.DataFrame:
        """Some rows, not many, by their positions; the columns are those of a chunk."""
        if self._is_one_chunk:
            return next(self._chunks())[at]
        batch = pl.concat([self.frame.slice(one, 1).lazy().collect() for one in at])
        rows = derive(batch, self.columns, at)
        return hide_tokens(rows, may_hold_tokens(rows))[0]

    @property
    def _is_one_chunk(self) -> bool:
        return isinstance(self.frame, pl.DataFrame) and self.frame.height <= CHUNK

    def _chunks(self) -> Iterator[pl.DataFrame]:
        """With rows that are not judged. Where all fit into one chunk, that one is kept."""
        if self._is_one_chunk:
            yield from self.remember("chunk", lambda: list(self._derived()))
        else:
            yield from self._derived()

    def _derived(self) -> Iterator[pl.DataFrame]:
        at = 0
        for batch in self._batches():
            places = pl.int_range(at, at + batch.height, dtype=pl.Int64, eager=True)
            chunk = derive(batch, self.columns, places)
            known = at + batch.height <= self._searched
            some = chunk["at"].is_in(self._holding) if known else may_hold_tokens(chunk)
            chunk, holding = hide_tokens(chunk, some)
            if at <= self._searched:
                self._holding.update(holding)
                self._searched = max(self._searched, at + batch.height)
            yield chunk
            at += batch.height

    def _batches(self) -> Iterator[pl.DataFrame]:
        if isinstance(self.frame, pl.DataFrame):
            yield from self.frame.iter_slices(CHUNK)
        else:
            yield from self.frame.collect_batches(chunk_size=CHUNK, maintain_order=True)

    def _read(self, measures: Sequence["RowMeasure"]) -> pl.DataFrame:
        facts = []
        self._faults = []
        asked = [(measure, _key(measure), measure.whys()) for measure in measures]
        whys = {
            f"{number}/{side}": why.cast(pl.String)
            for number, (_, _, sides) in enumerate(asked)
            for side, why in sides.items()
        }
        for _, key, _ in asked:
            self._long[key] = [_NOTHING]
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
            by_check = faults.partition_by("check", include_key=False, as_dict=True)
            for number, (measure, key, sides) in enumerate(asked):
                of_check = by_check.get((measure.check,), _NOTHING)
                long = [of_check]
                for side in sides:
                    why = read[f"{number}/{side}"]
                    if why.null_count() < read.height:
                        of_side = read.select("at", "row", "split", side=pl.lit(side), why=why)
                        own = of_side.drop_nulls("why")
                        long.append(own.join(of_check, on="at", how="anti", maintain_order="left"))
                self._long[key] += [part for part in long if part.height]
            facts.append(read.drop("faults", *whys))
        if not facts:
            return pl.DataFrame(schema=_FACTS)
        return pl.concat(facts)


def _key(measure: "RowMeasure") -> str:
    return f"{measure.check} {measure!r}"


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
