"""Rows on disk: parquet with message lists, read back as they were written.

in / out  {"row": int, "split": str, "prompt": [message], "chosen": [message], ..., "tokens": int}
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from tasks.core.fields import Row
from tasks.core.stage import Folder

MESSAGE_COLUMNS = ("prompt", "chosen", "rejected", "conversations")
HELD = 1_000  # rows as Python values at once, where a file is gone through row by row


class Rows(Protocol):
    """Rows that are counted and gone through, a list or a file."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Row]: ...


@dataclass(frozen=True)
class SplitOfFile:
    """The rows of one split, read again whenever they are gone through: a list of 160,000 HH pairs
    takes 0.6 GB."""

    path: Path
    split: str

    def __len__(self) -> int:
        return sum(batch.num_rows for batch in self._batches(["split"]))

    def __iter__(self) -> Iterator[Row]:
        for batch in self._batches(None):
            yield from batch.to_pylist()

    def _batches(self, columns: list[str] | None) -> Iterator[Any]:
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(HELD, columns=columns):
                yield batch.filter(pc.equal(batch["split"], self.split))


def write_rows(path: Path, rows: list[Row], columns: tuple[str, ...] = ()) -> int:
    """Write rows as parquet; `columns` picks some and their order. Returns the number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not rows:
        pq.write_table(pa.table({"row": pa.array([], pa.int64())}), path)
        return 0
    messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    arrays: dict[str, Any] = {}
    for name in columns or tuple(rows[0]):
        values = [row[name] for row in rows]
        is_messages = name in MESSAGE_COLUMNS and isinstance(values[0], list)
        arrays[name] = pa.array(values, messages if is_messages else None)
    pq.write_table(pa.table(arrays), path)
    return len(rows)


def batches_of(path: Path, size: int = 5_000) -> Iterator[pl.DataFrame]:
    """The rows in frames of `size`: what is done with them takes no more memory with more rows."""
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(batch_size=size):
        frame = pl.from_arrow(batch)
        assert isinstance(frame, pl.DataFrame)
        yield frame


def count_rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.ParquetFile(path).metadata.num_rows)


def spread_over(path: Path, count: int) -> list[Row]:
    """Some rows from all over the file: its beginning is often of one kind."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    of = file.metadata.num_rows
    places = {of * number // count for number in range(count)} if of > count else set(range(of))
    rows: list[Row] = []
    start = 0
    for batch in file.iter_batches(batch_size=5_000):
        here = [place - start for place in sorted(places) if start <= place < start + len(batch)]
        rows += batch.take(here).to_pylist() if here else []
        start += len(batch)
    return rows


def copy_rows(
    source: Path, target: Path, keep: Sequence[bool], more: Mapping[str, Sequence[str]] | None
) -> int:
    """Write the rows of `source` that are kept, with text columns added; returns how many."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(source)
    added = {name: pa.array(values, pa.string()) for name, values in (more or {}).items()}
    schema = file.schema_arrow
    for name in added:
        schema = schema.append(pa.field(name, pa.string()))
    mask, start = pa.array(keep, pa.bool_()), 0
    with pq.ParquetWriter(target, schema) as writer:
        for batch in file.iter_batches(batch_size=5_000):
            columns = [*batch.columns, *(a.slice(start, batch.num_rows) for a in added.values())]
            table = pa.table(columns, schema=schema)
            writer.write_table(table.filter(mask.slice(start, batch.num_rows)))
            start += batch.num_rows
    return sum(keep)


def read_rows(path: Path) -> list[Row]:
    import pyarrow.parquet as pq

    rows: list[Row] = pq.read_table(path).to_pylist()
    return rows


def of_split(folder: Folder, split: str) -> list[Row]:
    """The rows of one split of a stage that wrote rows.parquet."""
    return list(split_of(folder, split))


def split_of(folder: Folder, split: str) -> SplitOfFile:
    """The same, none of them held: for the training split, which alone has no cap."""
    return SplitOfFile(folder.path / "rows.parquet", split)
