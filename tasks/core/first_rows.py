"""The first rows of a recipe's data -> how many there are of all, and their tokens. Before a run.

in   the recipe, where its data is, the base's tokenizer
out  First: what a run would make of these rows, read and rendered as it does it

A small Hub data set is fetched whole, of a large one the beginning, as a stream. Nothing stays on
the disk.
"""

from collections import Counter
from itertools import chain, islice
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from tasks.core import hub_data, placeholders, render, rewrite
from tasks.core import rows as rows_file
from tasks.core.blocks import last_of, read_blocks, values_of
from tasks.core.forms import SAMPLE, reader
from tasks.core.hub import hub_errors, reading
from tasks.core.known_data import KNOWN
from tasks.core.reformat import How
from tasks.core.settings import Data, Reading, Recipe
from tasks.core.sources import files_of, is_file, kind_of
from tasks.core.starting import Source

MOST = 200  # source rows that are looked at
SMALL = 20_000_000  # bytes of a data set on the Hub that is fetched whole, and so counted
RENDERED = 100  # of which so many are tried with the chat template, as a run does


class First(BaseModel):
    """Of the first rows; tokens of a prompt with its longer answer, where there is one."""

    model_config = ConfigDict(frozen=True)

    read_as: str
    read: int  # source rows looked at
    rows: int  # what they give, before duplicates go
    set_aside: dict[str, int]  # reason -> rows
    tokens: tuple[int, ...]
    answered: bool  # False: prompts alone, whose answers the run makes
    total: int | None  # source rows of the whole data set
    counted: str  # how the total is known

    @property
    def mean(self) -> int:
        return round(fmean(self.tokens)) if self.tokens else 0


def first_rows(recipe: Recipe, at: Source, tokenizer: Any, base: str) -> First:
    """`at`: where the data is. Raises InputError for what would stop a run at these rows."""
    data, reading, how = recipe.data, recipe.reading, recipe.reformat
    with TemporaryDirectory(prefix="pairpress-") as scratch:
        folder = Path(scratch)
        paths = files_of(data.path) if is_file(data.path) else _fetched(data, reading, at, folder)
        files = [(path.name, path) for path in paths]
        values = chain.from_iterable(
            values_of(block) for _, path in files for block in read_blocks(path)
        )
        read = reader(islice(values, SAMPLE), data.path, how.form)
        rules = How.of(how, prompts_only=recipe.on_policy is not None)
        most = min(MOST, reading.max_rows or MOST)
        facts = rewrite.rewrite(files, read, rules, folder, most)
        placeholders.require_filled(facts["placeholders"], data.path, how.placeholders)
        rewritten, measured = folder / "rows.parquet", folder / "measured.parquet"
        reasons = Counter(facts["reasons"])
        tokens: list[int] = []
        if facts["rows"]:
            render.require_renders(tokenizer, rows_file.spread_over(rewritten, RENDERED), base)
            aside = render.measure_file(rewritten, measured, tokenizer, reading.max_length)
            reasons.update(row["code"] for row in aside)
            tokens = pl.read_parquet(measured)["tokens"].to_list()
        total, counted = _total(data, reading, at, paths)
        return First(
            read_as=read.read_as,
            read=facts["read"],
            rows=len(tokens),
            set_aside=dict(reasons.most_common()),
            tokens=tuple(tokens),
            answered=rules.out(read.form) != "conversations",
            total=total,
            counted=counted,
        )


def _is_whole(data: Data, reading: Reading, at: Source) -> bool:
    return is_file(data.path) or (at.bytes <= SMALL and not reading.streaming)


def _fetched(data: Data, reading: Reading, at: Source, folder: Path) -> list[Path]:
    if not _is_whole(data, reading, at):
        most = min(MOST, reading.max_rows or MOST)
        reading = reading.model_copy(update={"streaming": True, "max_rows": most})
    hub_data.store_hub(data, reading, at.revision, folder)
    return [path for _, path in hub_data.stored_files(folder)]


def _total(data: Data, reading: Reading, at: Source, paths: list[Path]) -> tuple[int | None, str]:
    """(source rows, how they are known), without reading a large data set on the Hub."""
    if _is_whole(data, reading, at):
        return sum(_rows_of(path) for path in paths), "counted"
    if (told := _told_by_card(data, at.revision)) is not None:
        return told, "by its card"
    known = KNOWN.get((data.path, data.data_dir))
    if known is not None and known.rows is not None:
        return known.rows, "as pairpress knows it"
    return None, "not counted before it is read"


def _told_by_card(data: Data, commit: str) -> int | None:
    """`dataset_info` of a card, as `datasets` writes it; it speaks of whole splits only."""
    if data.data_dir or data.data_files:
        return None
    with hub_errors(f"data.path {data.path}@{commit[:8]}"):
        card = reading().dataset_info(data.path, revision=commit).card_data
    told = (card.get("dataset_info") if card else None) or []
    for one in [told] if isinstance(told, dict) else told:
        if data.name in (None, one.get("config_name", "default")):
            for split in one.get("splits") or ():
                if split.get("name") == data.split and isinstance(split.get("num_examples"), int):
                    return int(split["num_examples"])
    return None


def _rows_of(path: Path) -> int:
    return rows_file.count_rows(path) if kind_of(path) == "parquet" else last_of(path)
