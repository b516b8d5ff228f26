"""Files -> rows, each with its source row number, and faulty rows.

in   files as tasks.core.sources finds them
out  Loaded (tasks.core.forms), for the check. `row` counts from 1 and is the line number in a JSONL
     file; of several files the rows of each count on from the last row of the one before

What cannot be read at all (broken JSON, not UTF-8, no rows, no known form) raises InputError with
its lines; a row with a defect is one of `faults`; a row that is well formed but useless is set
aside later, in reformat.
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from tasks.core.blocks import (
    Broken,
    as_written,
    is_array,
    last_of,
    read_blocks,
    unreadable,
    values_of,
)
from tasks.core.csv_rows import open_csv
from tasks.core.form_names import FormName
from tasks.core.forms import Loaded as Loaded
from tasks.core.forms import checked, require_columns
from tasks.core.json_array import elements
from tasks.core.sources import files_of, kind_of, read_bytes

Numbered = list[tuple[int, Any]]


def load_file(name: str, form: FormName | None = None) -> Loaded:
    """Read and check a local file, folder or glob. Raises InputError with file and line."""
    return checked(rows_of(files_of(name), every=False), str(Path(name).expanduser()), form)


def raw_rows(name: str) -> Numbered:
    """(row number, value) as the files hold them, with every column. Raises InputError."""
    return rows_of(files_of(name), every=True)


def rows_of(files: Iterable[Path], *, every: bool) -> Numbered:
    """`every` column of parquet, or those that a form needs: others may be many, and large."""
    rows: Numbered = []
    before = 0
    for path in files:
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
