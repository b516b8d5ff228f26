"""All source files -> the rows that train and those set aside, in one pass of flat memory.

in   files that tasks.core.blocks reads, a Reader of their form, How (tasks.core.reformat)
out  rows.parquet        {"row", "prompt": [message], "chosen": [message], "rejected": [message],
                         "score_chosen", "score_rejected"}, scores null where a row has none;
                         of conversations {"row", "prompt"}
     set_aside.parquet   {"row", "source": "name:line", "code", "reason", "text"}

`row` is the number of the source row; those of a further file go on after the last one before.
Plain transcripts go a block at a time (tasks.core.transcripts); every other row goes alone. The
rows come out in the order of the source whichever way they went.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from tasks.core.aside import set_aside
from tasks.core.blocks import Block, Broken, read_blocks, values_of
from tasks.core.columns import SIDES, Part, Table, parts_of, texts_of
from tasks.core.fields import Form, Row
from tasks.core.forms import Reader
from tasks.core.placeholders import placeholders_left
from tasks.core.progress import progress
from tasks.core.reformat import SCORES, How, aside_of_faults, message_of_system, rewrite_row
from tasks.core.transcripts import numbers_of, plain_pairs

T = TypeVar("T")


@dataclass(frozen=True)
class Read:
    name: str
    before: int  # number of the last row of the sources before
    block: Block
    parts: list[Part]  # of the whole block; none where the form has no quick way


@dataclass
class Made:
    """What became of the rows of a block."""

    source: str
    before: int
    size: int  # bytes of the source
    read: int = 0
    kept: int = 0  # source rows that gave at least one row
    table: Table = None  # the rows that came out, in order
    aside: list[Row] = field(default_factory=list)
    placeholders: Counter[str] = field(default_factory=Counter)  # left without a value


def rewrite(
    files: Sequence[tuple[str, Path]],
    reader: Reader,
    how: How,
    folder: Path,
    max_rows: int | None = None,
) -> dict[str, Any]:
    """Write both files; returns {"read", "kept", "rows", "set_aside", "reasons", "placeholders"}.

    `files` are names for people, with paths; at most `max_rows` source rows are read. `reasons`
    are the rows set aside by code, `placeholders` by bare name those that are left in the rows.
    """
    import pyarrow.parquet as pq

    read = kept = rows = 0
    reasons: Counter[str] = Counter()
    placeholders: Counter[str] = Counter()
    blocks = _ahead(_read(files, reader.slug == "hh-rlhf" and not how.prompts_only))
    with (
        _memory_given_back(),
        progress("rewrite", sum(path.stat().st_size for _, path in files), "B") as advance,
        pq.ParquetWriter(folder / "rows.parquet", _rows_schema(how.out(reader.form))) as rows_file,
        pq.ParquetWriter(folder / "set_aside.parquet", _aside_schema()) as aside_file,
    ):
        for made in _ahead(_rewritten(blocks, reader, how, max_rows)):
            read, kept, rows = read + made.read, kept + made.kept, rows + len(made.table)
            reasons.update(row["code"] for row in made.aside)
            placeholders.update(made.placeholders)
            rows_file.write_table(made.table)
            if made.aside:
                aside_file.write_table(_aside_table(made))
            advance(made.size)
            del made
    assert read == kept + reasons.total(), f"{read} read, {kept} kept, {reasons} set aside"
    return {
        "read": read,
        "kept": kept,
        "rows": rows,
        "set_aside": reasons.total(),
        "reasons": dict(reasons.most_common()),
        "placeholders": dict(placeholders.most_common()),
    }


def _ahead(values: Iterator[T]) -> Iterator[T]:
    """The same values; while one is used, a thread makes the next."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, values, None)
        while (value := coming.result()) is not None:
            coming = thread.submit(next, values, None)
            yield value
            del value  # a block is large: nobody holds one that is done with


@contextmanager
def _memory_given_back() -> Iterator[None]:
    """pyarrow's own pool keeps what each thread once took: 30 MB more."""
    import pyarrow as pa

    pool = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(pool)


def _read(files: Sequence[tuple[str, Path]], is_quick: bool) -> Iterator[Read]:
    before = 0
    for name, path in files:
        block = None
        for block in read_blocks(path):
            yield Read(name, before, block, list(parts_of(block)) if is_quick else [])
        before += block.last if block else 0


def _rewritten(
    blocks: Iterable[Read], reader: Reader, how: How, max_rows: int | None
) -> Iterator[Made]:
    left = max_rows
    for read in blocks:
        made = _rewrite_block(read, reader, how, left)
        left = left and left - made.read
        del read
        yield made
        del made
        if left == 0:
            return


def _rewrite_block(source: Read, reader: Reader, how: How, most: int | None) -> Made:
    """Every row of the block, or `most` of them."""
    import pyarrow as pa

    block = source.block
    tables: list[Table] = []
    if source.parts and (most is None or block.last - block.first < most):
        alone = []
        for part in source.parts:
            plain, others = _plain(part, source.before, how)
            alone += others
            tables += [] if plain is None else [plain]
    else:
        alone = list(islice(values_of(block), most))
    made = Made(source.name, source.before, block.size, len(alone))
    rows = []
    for number, value in alone:
        got, aside = _rewrite_alone(source.before + number, value, reader, how)
        rows += got
        made.aside += aside
        made.kept += bool(got)
    plain_rows = sum(map(len, tables))
    made.read, made.kept = made.read + plain_rows, made.kept + plain_rows
    made.placeholders = placeholders_left(rows)
    tables.append(_table(rows, _rows_schema(how.out(reader.form))))
    made.table = pa.concat_tables(tables)
    if rows and plain_rows:
        made.table = made.table.combine_chunks().sort_by("row")
    return made


def _rewrite_alone(
    number: int, value: Any, reader: Reader, how: How
) -> tuple[list[Row], list[Row]]:
    """(rows out, set aside) of one source row: one of the two is empty."""
    if isinstance(value, Broken):
        return [], [set_aside(number, "unreadable", value.reason, value.text)]
    form, row, faults = reader.read(value)
    if faults:
        return [], [aside_of_faults(number, faults)]
    return rewrite_row(form, row | {"row": number}, how)


def _plain(part: Part, before: int, how: How) -> tuple[Table, list[tuple[int, Any]]]:
    """(the plain rows, the others as they are read one by one)."""
    import numpy as np
    import pyarrow as pa

    block, table = part.block, part.table
    texts = None if table is None else texts_of(table)
    if texts is None:
        return None, list(values_of(block))
    plain = plain_pairs(*(texts[side].chunk(0) for side in SIDES))
    numbers = block.first + np.arange(len(table))
    prompt = _with_system(plain.prompt, how) if how.system == "replace" else plain.prompt
    arrays = [numbers_of(before + numbers[plain.rows]), prompt, plain.chosen, plain.rejected]
    arrays += [pa.nulls(len(plain.chosen), pa.float64()) for _ in SCORES]  # none is a plain column
    others = np.flatnonzero(~plain.rows)
    if block.lines is None:
        alone = Block(0, 0, table=table.take(numbers_of(others)), folded=block.folded)
    else:
        lines = [block.lines[part.starts[at] : part.starts[at + 1]] for at in others]
        alone = Block(0, 0, lines=b"".join(lines))
    rows = [(int(numbers[others[at]]), value) for at, value in values_of(alone)]
    return pa.table(arrays, schema=_rows_schema("hh")), rows


def _with_system(prompts: Any, how: How) -> Any:
    """A system message before every prompt."""
    import numpy as np
    import pyarrow as pa

    system = pl.Series([message_of_system(how)]).to_arrow().cast(prompts.values.type)
    messages = pa.concat_arrays([prompts.values, system])
    offsets = np.frombuffer(prompts.offsets.buffers()[1], np.int32)[: len(prompts) + 1]
    order = np.insert(np.arange(len(prompts.values)), offsets[:-1], len(prompts.values))
    places = offsets + np.arange(len(offsets), dtype=np.int32)
    return pa.ListArray.from_arrays(numbers_of(places), messages.take(numbers_of(order)))


def _rows_schema(form: Form) -> Any:
    import pyarrow as pa

    messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    columns = [("row", pa.int64()), ("prompt", messages)]
    if form != "conversations":
        columns += [(side, messages) for side in SIDES]
        columns += [(score, pa.float64()) for score in SCORES]
    return pa.schema(columns)


def _aside_schema() -> Any:
    import pyarrow as pa

    texts = ("source", "code", "reason", "text")
    return pa.schema([("row", pa.int64()), *((name, pa.string()) for name in texts)])


def _aside_table(made: Made) -> Table:
    rows = [row | {"source": f"{made.source}:{row['row'] - made.before}"} for row in made.aside]
    return _table(rows, _aside_schema())


def _table(rows: list[Row], schema: Any) -> Table:
    """By way of polars, as `numbers_of` goes round pandas."""
    return pl.DataFrame(rows, schema=pl.Schema(schema)).to_arrow().cast(schema)
