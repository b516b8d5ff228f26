"""`data.path` -> the files to read, their digest or commit, and the form of their rows."""

import hashlib
import json
import os
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tasks.core import blocks, forms, hub_data, sources
from tasks.core.settings import Data
from tasks.core.stage import Folder, file_digest
from tasks.staged import log, passing, stage_task, staged

OF_THE_HUB = ("revision", "name", "data_dir", "data_files", "split", "streaming")


@stage_task("load", retries=2, retry_delay_seconds=2, retry_condition_fn=passing)
def load_rows(data: Data) -> Folder:
    """Pin the source and tell its form. A Hub data set is stored, a local file is left in place.

    facts: form, read_as, slug, source (file or repository), source_digest (sha256 or commit),
    licence.
    """
    local = sources.is_file(data.path)
    if local and (idle := _set_for_the_hub(data)):
        names = ", ".join(f"data.{name}" for name in idle)
        log(f"load: {names}: of a Hub data set, and data.path is local; no part of this run")
    source = _local_source(data) if local else _hub_source(data)
    which = {*OF_THE_HUB} - {"revision", "streaming"}
    made_from = source | data.model_dump(include={"max_rows", "form"} | (set() if local else which))

    def make(folder: Path) -> dict[str, Any]:
        if not local:
            hub_data.store_hub(data, source["source_digest"], folder)
        (folder / "source.json").write_text(json.dumps(source))  # its digest is this stage's
        name = data.path if local else f"{data.path}[{data.split}]"
        reader = forms.reader(_sample(_files(data, folder)), name, data.form)
        return {"form": reader.form, "read_as": reader.read_as, "slug": reader.slug} | source

    return staged("load", made_from, (hub_data, forms, blocks, sources), make)


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


def _set_for_the_hub(data: Data) -> list[str]:
    """Settings that say nothing about a local file; a recipe may have them beside another path."""
    plain = Data(path=data.path)
    return [name for name in OF_THE_HUB if getattr(data, name) != getattr(plain, name)]


def _sample(files: list[tuple[str, Path]]) -> list[tuple[int, Any]]:
    rows = (blocks.values_of(block) for _, path in files for block in blocks.read_blocks(path))
    return list(islice(chain.from_iterable(rows), forms.SAMPLE))


def _local_source(data: Data) -> dict[str, Any]:
    digests = [file_digest(path) for path in sources.files_of(data.path)]
    whole = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    digest = digests[0] if len(digests) == 1 else whole
    return {"source": Path(data.path).name, "source_digest": digest, "licence": None}


def _hub_source(data: Data) -> dict[str, Any]:
    sha, licence = hub_data.resolve_data(data.path, data.revision)
    return {"source": data.path, "source_digest": sha, "licence": licence}
