"""Rows on disk: parquet with message lists, read back as they were written.

in / out  {"row": int, "split": str, "prompt": [message], "chosen": [message], ..., "tokens": int}
"""

from pathlib import Path
from typing import Any

from tasks.core.reformat import Row
from tasks.core.stage import Folder

MESSAGE_COLUMNS = ("prompt", "chosen", "rejected", "conversations")


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


def read_rows(path: Path) -> list[Row]:
    import pyarrow.parquet as pq

    rows: list[Row] = pq.read_table(path).to_pylist()
    return rows


def of_split(folder: Folder, split: str) -> list[Row]:
    """The rows of one split of a stage that wrote rows.parquet."""
    return [row for row in read_rows(folder.path / "rows.parquet") if row["split"] == split]
