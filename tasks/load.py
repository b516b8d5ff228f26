"""`data.path` -> the files to read, their digest or commit, and the form of their rows."""

import json
import os
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tasks.core import blocks, forms, hub_data, sources
from tasks.core.settings import Data, Reading, Recipe
from tasks.core.stage import Folder
from tasks.core.unchanged import local_digest
from tasks.staged import log, passing, stage_task, staged
from tasks.story import markdown

SHOWN, LONGEST_SHOWN = 5, 240  # raw rows, and characters of each
OF_THE_HUB = ("revision", "name", "data_dir", "data_files", "split")


@stage_task("load", retries=2, retry_delay_seconds=2, retry_condition_fn=passing)
def load_rows(recipe: Recipe) -> Folder:
    """Pin the source and tell its form. A Hub data set is stored, a local file is left in place.

    facts: form, read_as, slug, source (file or repository), source_digest (sha256 or commit),
    licence.
    """
    data, reading, form = recipe.data, recipe.reading, recipe.reformat.form
    local = sources.is_file(data.path)
    if local and (idle := _set_for_the_hub(data, reading)):
        names = ", ".join(idle)
        log(f"load: {names}: of a Hub data set, and data.path is local; no part of this run")
    source = _local_source(data) if local else _hub_source(data)
    which = data.model_dump(include={*OF_THE_HUB} - {"revision"})
    made_from = source | ({} if local else which) | {"max_rows": reading.max_rows, "form": form}

    def make(folder: Path) -> dict[str, Any]:
        if not local:
            hub_data.store_hub(data, reading, source["source_digest"], folder)
        (folder / "source.json").write_text(json.dumps(source))  # its digest is this stage's
        name = data.path if local else f"{data.path}[{data.split}]"
        reader = forms.reader(_sample(_files(data, folder)), name, form)
        return {"form": reader.form, "read_as": reader.read_as, "slug": reader.slug} | source

    folder = staged("load", made_from, (hub_data, forms, blocks, sources), make)
    _show_first(_files(data, folder.path), folder.facts["read_as"])
    return folder


def _show_first(files: list[tuple[str, Path]], read_as: str) -> None:
    """What the rows are made of, before anything is done to them: in the log, on the run page."""
    first = [(number, _brief(value)) for number, value in islice(_values(files), SHOWN)]
    log("\n".join([f"load: read as {read_as}; first rows:", *(f"  {n}: {v}" for n, v in first)]))
    rows = "\n".join(f"{number}.\n\n```\n{value}\n```" for number, value in first)
    markdown("raw-rows", "First rows of the source", rows, f"read as {read_as}")


def _brief(value: Any) -> str:
    if isinstance(value, blocks.Broken):
        return f"cannot be read: {value.reason}"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ..."


def source_files(raw: Folder, data: Data) -> list[tuple[str, Path]]:
    """(name for people, path) of each file, in the order in which rows are numbered."""
    files = _files(data, raw.path)
    names = [path.name for _, path in files]
    return [(path.name if names.count(path.name) == 1 else place, path) for place, path in files]


def _files(data: Data, folder: Path) -> list[tuple[str, Path]]:
    if sources.is_file(data.path):
        paths = sources.files_of(data.path)
        above = os.path.commonpath([path.parent for path in paths])  # nobody's business
        return [(path.relative_to(above).as_posix(), path) for path in paths]
    return hub_data.stored_files(folder)


def _set_for_the_hub(data: Data, reading: Reading) -> list[str]:
    """Settings that say nothing about a local file; a recipe may have them beside another path."""
    plain = Data(path=data.path)
    idle = [f"data.{name}" for name in OF_THE_HUB if getattr(data, name) != getattr(plain, name)]
    return [*idle, *["reading.streaming"] * reading.streaming]


def _sample(files: list[tuple[str, Path]]) -> list[tuple[int, Any]]:
    return list(islice(_values(files), forms.SAMPLE))


def _values(files: list[tuple[str, Path]]) -> Iterator[tuple[int, Any]]:
    rows = (blocks.values_of(block) for _, path in files for block in blocks.read_blocks(path))
    return chain.from_iterable(rows)


def _local_source(data: Data) -> dict[str, Any]:
    digest = local_digest(data.path)
    return {"source": Path(data.path).name, "source_digest": digest, "licence": None}


def _hub_source(data: Data) -> dict[str, Any]:
    sha, licence = hub_data.resolve_data(data.path, data.revision)
    return {"source": data.path, "source_digest": sha, "licence": licence}
