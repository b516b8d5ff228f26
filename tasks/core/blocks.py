"""A file -> its rows in blocks of a few megabytes, in the order of the file.

in   a path of tasks.core.sources.files_of
out  Block: lines of JSONL, a table of parquet or CSV, or the values of a JSON array

`values_of` gives the rows of any block one by one. A row that cannot be read comes as Broken in its
place; a file that cannot be read at all raises InputError. A file of rows that a run set aside
gives those rows again, so that it can be mended and fed in.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from expectations.measures.tokens_in_text import without_tokens
from tasks.core.cells import unfold
from tasks.core.csv_rows import Record, open_csv
from tasks.core.errors import InputError
from tasks.core.fields import DECODER, short
from tasks.core.json_array import ArrayText
from tasks.core.sources import kind_of, read_bytes, read_chunks

BLOCK = 4 << 20  # bytes; blocks of a sixteenth of it are read one and a half times slower
MOST_ROWS = 10_000  # of a block without lines
LINES_SHOWN = 10
Choose = Callable[[list[str]], list[str]]  # columns of a table -> those that are read

RECORDS = {"row", "code", "reason", "text", "record"}  # the columns of a set-aside file


@dataclass(frozen=True)
class Block:
    """One of `lines`, `table` and `values` is there.

    `first`: the number of its first row in the file, from 1; of JSONL the number of its first line.
    `size`: the bytes of the file that it took, packed as they are; those of all blocks make up the
    file's own, for a progress bar.
    """

    first: int
    size: int
    lines: bytes | None = None  # JSONL: whole lines
    table: Any = None  # parquet, CSV: a pyarrow.Table
    values: list[Any] | None = None  # JSON array, or one object; CSV with a row that is Broken
    array: ArrayText | None = None  # of which `values` are the elements, or some of them
    folded: bool = False  # CSV: a cell may hold messages or a list as JSON

    @property
    def last(self) -> int:
        """The number of its last row, or line."""
        if self.lines is not None:
            count = self.lines.count(b"\n") + (not self.lines.endswith(b"\n"))
        else:
            count = len(self.table if self.values is None else self.values)
        return self.first + count - 1


@dataclass(frozen=True)
class Broken:
    """A row that cannot be read: why, and the text that stands there."""

    reason: str
    text: str


def read_blocks(path: Path, choose: Choose | None = None) -> Iterator[Block]:
    """All blocks of a file; of a parquet file all columns, or those that `choose` takes."""
    kind = kind_of(path)
    if kind == "parquet":
        return _read_parquet(path, choose)
    if kind == "csv":
        return _read_csv(path)
    return _read_lines(path) if kind == "jsonl" else _read_json(path)


def values_of(block: Block) -> Iterator[tuple[int, Any]]:
    """(number, value) of each row. Blank lines are counted and give no row."""
    for number, value in as_written(block):
        if isinstance(value, dict) and value.keys() >= RECORDS:
            if value.get("used") is True:
                continue  # other pairs of this row went on
            value = _set_aside_before(value)
        elif block.folded and isinstance(value, dict):
            try:
                value = unfold(value)
            except ValueError as error:
                value = Broken(str(error), json.dumps(value, ensure_ascii=False))
        yield number, value


def as_written(block: Block) -> Iterator[tuple[int, Any]]:
    """The same, but what is folded stays so: a row that was set aside, JSON in a cell of CSV."""
    if block.lines is None:
        rows = block.values if block.values is not None else _rows_of(block.table)
        yield from enumerate(rows, start=block.first)
        return
    for number, line in enumerate(block.lines.split(b"\n"), start=block.first):  # U+2028 is data
        if line and not line.isspace():
            yield number, _parsed(line)


def _parsed(line: bytes) -> Any:
    try:
        return DECODER.decode(line.decode())
    except (RecursionError, ValueError) as error:
        return Broken(why_broken(error), line.decode(errors="backslashreplace"))


def _set_aside_before(row: dict[str, Any]) -> Any:
    """The row as its own file had it; whoever mends it may have unfolded the record."""
    record = row["record"]
    return _parsed(record.encode()) if isinstance(record, str) else record


def last_of(path: Path) -> int:
    """The number of the last row of a file, or line."""
    last = 0
    for block in read_blocks(path):
        last = block.last
    return last


def _rows_of(table: Any) -> list[Any]:
    try:
        rows: list[Any] = table.to_pylist()
        for field in table.schema:
            if "arrow.json" in str(field.type):
                rows = [row | {field.name: _unfolded(row[field.name], field.type)} for row in rows]
        return rows
    except UnicodeDecodeError as error:
        if len(table) == 1:
            return [Broken(why_broken(error), error.object.decode(errors="backslashreplace"))]
    return [row for at in range(len(table)) for row in _rows_of(table.slice(at, 1))]


def _unfolded(value: Any, kind: Any) -> Any:
    """A value of mixed types, which `datasets` keeps as JSON inside of parquet."""
    import pyarrow as pa

    if value is None:
        return None
    if isinstance(kind, pa.JsonType):
        return DECODER.decode(value)
    if pa.types.is_list(kind):
        return [_unfolded(one, kind.value_type) for one in value]
    if pa.types.is_struct(kind):
        return {field.name: _unfolded(value[field.name], field.type) for field in kind}
    return value


def why_broken(error: RecursionError | ValueError) -> str:
    """What is wrong with one line, with its column."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte 0x{error.object[error.start]:02x} is not UTF-8 (column {error.start + 1})"
    if isinstance(error, json.JSONDecodeError):
        near = without_tokens(error.doc, max(0, error.pos - 20), error.pos + 40)
        return f"not JSON ({error.msg}, column {error.colno}): {short(near)}"
    if isinstance(error, RecursionError):
        return "JSON that is nested too deep to be read"
    return "JSON with a number too long to be read"


def unreadable(path: Path, bad: list[tuple[int, str]]) -> InputError:
    """Of lines that cannot be read: the first ones, each with its reason."""
    first, *others = [f"{line}: {why}" for line, why in bad[:LINES_SHOWN]]
    told = "; ".join([f"{path}:{first}", *(f"line {other}" for other in others)])
    left = len(bad) - LINES_SHOWN
    more = f"; and {left:,} more line{'s' if left > 1 else ''}" if left > 0 else ""
    way_out = "Save the file as UTF-8" if "not UTF-8" in bad[0][1] else "Mend or remove the line"
    return InputError(f"{told}{more}. {way_out}{'s' if others and way_out[0] == 'M' else ''}.")


def _read_lines(path: Path) -> Iterator[Block]:
    first, size, begun = 1, 0, [b""]
    for data, took in read_chunks(path, BLOCK):
        size += took
        end = data.rfind(b"\n") + 1
        if end:
            lines = b"".join([*begun, memoryview(data)[:end]])
            yield Block(first, size, lines=lines)
            first, size, begun = first + lines.count(b"\n"), 0, []
        begun.append(data[end:])
    if any(begun):
        yield Block(first, size, lines=b"".join(begun))


def is_array(path: Path, data: bytes) -> bool:
    """Whether the rows of a file are the elements of one JSON array, rather than its lines."""
    return kind_of(path) == "json" and data.lstrip()[:1] == b"[" and not _is_lines(data)


def _is_lines(data: bytes) -> bool:
    """Whether the first line is a whole value, with others behind it."""
    first, _, others = data.lstrip().partition(b"\n")
    return bool(others.strip()) and not isinstance(_parsed(first), Broken)


def _read_json(path: Path) -> Iterator[Block]:
    """An array, one object over many lines, or one value a line under another name."""
    head = next(_read_lines(path), None)
    if head is None or _is_lines(head.lines or b""):
        yield from _read_lines(path)
        return
    data = read_bytes(path)
    try:
        value = DECODER.decode(text := data.decode())
    except (RecursionError, ValueError) as error:
        if is_array(path, data):
            raise unreadable(path, _bad_lines(data, error)) from error
        yield from _read_lines(path)  # the lines say more
        return
    values, array = [value], None
    if isinstance(value, list):
        values, array = value, ArrayText(text)
    size = path.stat().st_size
    for at in range(0, len(values), MOST_ROWS):
        part = values[at : at + MOST_ROWS]
        share = _share(size, at, len(part), len(values))
        yield Block(at + 1, share, values=part, array=array)


def _share(size: int, at: int, count: int, of: int) -> int:
    """The part of `size` that falls to `count` rows; rounded so that all parts make up the whole.

    >>> [_share(10, at, 1, 3) for at in range(3)]
    [3, 3, 4]
    """
    return size * (at + count) // of - size * at // of


def _bad_lines(data: bytes, error: RecursionError | ValueError) -> list[tuple[int, str]]:
    if not isinstance(error, UnicodeDecodeError):
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        return [(line, why_broken(error))]
    bad = []
    for number, text in enumerate(data.split(b"\n"), start=1):
        try:
            text.decode()
        except UnicodeDecodeError as of_line:
            bad.append((number, why_broken(of_line)))
    return bad


def _read_parquet(path: Path, choose: Choose | None) -> Iterator[Block]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    size, at = path.stat().st_size, 0
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=BLOCK) as file:
            of, groups = file.metadata.num_rows, range(file.metadata.num_row_groups)
            whole = sum(file.metadata.row_group(n).total_byte_size for n in groups)
            count = max(1, min(MOST_ROWS, of * BLOCK // max(whole, 1)))
            names = file.schema_arrow.names
            chosen = choose(names) if choose and of and not {*names} >= RECORDS else None
            for batch in file.iter_batches(count, columns=chosen):
                table = pa.Table.from_batches([batch])
                yield Block(at + 1, _share(size, at, len(table), of), table=table)
                at += len(table)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: not a readable parquet file ({reason}). Fetch it again."
        ) from error


def _read_csv(path: Path) -> Iterator[Block]:
    """A row's number counts the rows behind the header, not the lines."""
    import pyarrow as pa

    names, records = open_csv(path)
    first, before = 1, 0
    while part := list(_part(records)):
        size, before = part[-1].taken - before, part[-1].taken
        if any(one.why for one in part):
            values = [
                Broken(one.why, one.text) if one.why else dict(zip(names, one.fields, strict=True))
                for one in part
            ]
            yield Block(first, size, values=values, folded=True)
        else:
            columns = zip(*(one.fields for one in part), strict=True)
            arrays = [pa.array(column, pa.string()) for column in columns]
            yield Block(first, size, table=pa.table(arrays, names), folded=True)
        first += len(part)


def _part(records: Iterator[Record]) -> Iterator[Record]:
    """As many rows as make a block."""
    held = 0
    for record in islice(records, MOST_ROWS):
        yield record
        held += sum(map(len, record.fields))
        if held >= BLOCK:
            return
