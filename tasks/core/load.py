"""Files or a Hub data set -> rows, each with its source row number, and faulty rows.

in   files as tasks.core.sources finds them; a repository on the Hub at a commit
out  Loaded (tasks.core.forms), for the check; of a Hub data set for a run its raw columns, as
     parquet. `row` counts from 1 and is the line number in a JSONL file; of several files the rows
     of each count on from the last row of the one before

What cannot be read at all (broken JSON, not UTF-8, no rows, no known form) raises InputError with
its lines; a row with a defect is one of `faults`; a row that is well formed but useless is set
aside later, in reformat.
"""

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tasks.core.blocks import (
    DECODER,
    Broken,
    as_written,
    is_array,
    last_of,
    read_blocks,
    unreadable,
    values_of,
)
from tasks.core.csv_rows import open_csv
from tasks.core.errors import InputError
from tasks.core.forms import Loaded as Loaded
from tasks.core.forms import checked, require_columns
from tasks.core.hub import hub_errors
from tasks.core.progress import progress
from tasks.core.settings import FormName
from tasks.core.sources import files_of, kind_of, read_bytes

if TYPE_CHECKING:
    from tasks.core.settings import Data

BATCH = 1_000  # rows of a Hub data set that are held at once
REASON_SHOWN = 300  # characters of what `datasets` says
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)  # how a packed file fails in a stream
GAP = re.compile(r"[\s,]*")

Numbered = list[tuple[int, Any]]


def load_file(name: str, form: FormName | None = None) -> Loaded:
    """Read and check a local file, folder or glob. Raises InputError with file and line."""
    return checked(_rows(name, every=False), str(Path(name).expanduser()), form)


def raw_rows(name: str) -> Numbered:
    """(row number, value) as the files hold them, with every column. Raises InputError."""
    return _rows(name, every=True)


def _rows(name: str, *, every: bool) -> Numbered:
    """`every` column of parquet, or those that a form needs: others may be many, and large."""
    rows: Numbered = []
    before = 0
    for path in files_of(name):
        last = 0
        bad: list[tuple[int, str]] = []
        needed = None if every else partial(require_columns, name=str(path))
        for block in read_blocks(path, needed):
            for number, value in as_written(block) if every else values_of(block):
                if isinstance(value, Broken):
                    bad.append((number, value.reason))
                else:
                    rows.append((before + number, value))
            last = block.last
        if bad:
            lines = _lines_of(path, {number for number, _ in bad})
            raise unreadable(path, [(lines.get(number, number), why) for number, why in bad])
        before += last
    return rows


def places_of(name: str, rows: Iterable[int]) -> dict[int, tuple[str, int | None]]:
    """Row -> its file and the line on which it begins there; parquet has no lines."""
    wanted, files = set(rows), files_of(name)
    places: dict[int, tuple[str, int | None]] = {}
    before = 0
    for path in files:
        last = last_of(path) if path != files[-1] else max(wanted, default=0)
        own = {row - before for row in wanted if before < row <= before + last}
        lines = _lines_of(path, own)
        places |= {before + row: (str(path), lines.get(row)) for row in own}
        before += last
    return places


def _lines_of(path: Path, wanted: set[int]) -> dict[int, int]:
    kind = kind_of(path)
    if kind == "parquet" or not wanted:
        return {}
    if kind == "csv":
        _, records = open_csv(path)
        return {row: one.line for row, one in enumerate(records, start=1) if row in wanted}
    data = read_bytes(path) if kind == "json" else b""
    if not is_array(path, data):
        return {row: row for row in wanted}
    text, at, line, lines = data.decode(), 0, 1, {}
    for row, (begin, _) in enumerate(elements(text), start=1):
        line += text.count("\n", at, begin)
        at = begin
        if row in wanted:
            lines[row] = line
        if len(lines) == len(wanted):
            break
    return lines


def elements(text: str) -> Iterator[tuple[int, int]]:
    """(begin, end) of each element of a JSON array."""
    at = text.index("[") + 1
    while True:
        gap = GAP.match(text, at)
        assert gap is not None
        if text[gap.end()] == "]":
            return
        _, at = DECODER.raw_decode(text, gap.end())
        yield gap.end(), at


def load_hub_splits(repo: str, sha: str, form: FormName | None = None) -> dict[str, Loaded]:
    """Read and check every split of a Hub data set at a commit, through `datasets`."""
    with _hub_data(repo, sha, {}) as data:
        return {split: _check_split(rows, f"{repo}[{split}]", form) for split, rows in data.items()}


def _check_split(data: Any, name: str, form: FormName | None) -> Loaded:
    if not len(data):
        return checked([], name)
    columns = require_columns(data.column_names, name)
    return checked(enumerate(data.select_columns(columns), start=1), name, form)


def store_hub(data: "Data", sha: str, folder: Path) -> int:
    """Write the raw columns of a Hub data set at a commit as parquet files; how many rows.

    The files are part-00000.parquet and so on: another begins where the columns change, as those
    of a stream may from one of its files to the next.
    """
    import pyarrow.parquet as pq

    asked = data.model_dump(include={"name", "data_dir", "data_files", "split"}, exclude_none=True)
    rows, parts, writer = 0, 0, None
    with _hub_data(data.path, sha, asked, folder, streaming=data.streaming) as found:
        if data.max_rows is not None:
            found = found.take(data.max_rows)
        total = data.max_rows if data.streaming else len(found)
        with progress(f"read {data.path}", total, "row") as advance:
            for table in found.with_format("arrow").iter(BATCH):
                if writer is None or not writer.schema.equals(table.schema):
                    if writer:
                        writer.close()
                    writer = pq.ParquetWriter(folder / f"part-{parts:05}.parquet", table.schema)
                    parts += 1
                writer.write_table(table)
                rows += len(table)
                advance(len(table))
    if writer is None:
        raise InputError(f"{data.path}[{data.split}]: empty, no rows. Name another split.")
    writer.close()
    return rows


@contextmanager
def _hub_data(
    repo: str,
    sha: str,
    asked: Mapping[str, str],
    beside: Path | None = None,
    *,
    streaming: bool = False,
) -> Iterator[Any]:
    """The data set as `datasets` has it; what goes wrong with it, also later, comes in words.

    What `datasets` stores on the way stands in a folder `beside`, and goes.
    """
    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        raise InputError(
            f"{repo}: reading a Hub data set needs `datasets`. Install pairpress[pipeline]."
        ) from error
    try:
        with (
            hub_errors(f"data.path {repo}@{sha[:8]}"),
            # With a cache, `datasets` falls back to what it once stored of another commit.
            TemporaryDirectory(dir=beside, prefix=".cache-") as empty,
        ):
            yield load_dataset(repo, revision=sha, cache_dir=empty, streaming=streaming, **asked)
    except (DatasetsError, ValueError, FileNotFoundError, RuntimeError, *DAMAGED) as error:
        if isinstance(error, InputError):
            raise
        named = str(error.__cause__ or "") or str(error)  # the cause says what it was
        reason = " ".join(named.splitlines()[:2])[:REASON_SHOWN]
        settings = "".join(f"data.{key} ({value}), " for key, value in asked.items())
        raise InputError(
            f"{repo}@{sha[:8]}: cannot be read ({reason}). Check {settings}and the files: one may "
            "be damaged or without rows."
        ) from error


def resolve_data(repo: str, revision: str) -> tuple[str, str | None]:
    """(commit sha, licence as the card names it) of a data set repository."""
    from huggingface_hub import HfApi

    with hub_errors(f"data.path {repo}@{revision}"):
        info = HfApi().dataset_info(repo, revision=revision)
    licence = info.card_data.get("license") if info.card_data else None
    return str(info.sha), licence
