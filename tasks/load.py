"""`data.path` -> the files to read, their digest or commit, and the form of their rows."""

import hashlib
import json
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tasks.core import blocks, forms, load, sources
from tasks.core.settings import Data
from tasks.core.stage import Folder, file_digest
from tasks.staged import passing, stage_task, staged

SAMPLE = 1_000  # rows by which the form is told


@stage_task("load", retries=2, retry_delay_seconds=2, retry_condition_fn=passing)
def load_rows(data: Data) -> Folder:
    """Pin the source and tell its form. A Hub data set is stored, a local file is left in place.

    facts: form, read_as, source (as given), source_digest (sha256 or commit), licence.
    """
    local = sources.is_file(data.path)
    source = _local_source(data) if local else _hub_source(data)
    made_from = source | data.model_dump(
        include={"name", "data_dir", "data_files", "split", "max_rows", "form"}
    )

    def make(folder: Path) -> dict[str, Any]:
        if not local:
            load.store_hub(data, source["source_digest"], folder)
        (folder / "source.json").write_text(json.dumps(source))
        name = data.path if local else f"{data.path}[{data.split}]"
        reader = forms.reader(_sample(_paths(data, folder)), name, data.form)
        return {"form": reader.form, "read_as": reader.read_as, "slug": reader.slug} | source

    return staged("load", made_from, (load, forms, blocks, sources), make)


def source_files(raw: Folder, data: Data) -> list[tuple[str, Path]]:
    """(name for people, path) of each file, in the order in which rows are numbered."""
    paths = _paths(data, raw.path)
    names = [path.name for path in paths]
    return [(path.name if names.count(path.name) == 1 else str(path), path) for path in paths]


def _paths(data: Data, folder: Path) -> list[Path]:
    if sources.is_file(data.path):
        return sources.files_of(data.path)
    return sorted(folder.glob("part-*.parquet"))


def _sample(paths: list[Path]) -> list[tuple[int, Any]]:
    rows = (blocks.values_of(block) for path in paths for block in blocks.read_blocks(path))
    return list(islice(chain.from_iterable(rows), SAMPLE))


def _local_source(data: Data) -> dict[str, Any]:
    digests = [file_digest(path) for path in sources.files_of(data.path)]
    whole = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return {
        "source": Path(data.path).name,
        "source_digest": digests[0] if len(digests) == 1 else whole,
        "licence": None,
    }


def _hub_source(data: Data) -> dict[str, Any]:
    sha, licence = load.resolve_data(data.path, data.revision)
    return {"source": data.path, "source_digest": sha, "licence": licence}
