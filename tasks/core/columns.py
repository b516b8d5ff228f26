"""A block of transcripts -> its columns as pyarrow reads them, where it reads them as we do.

in   Block (tasks.core.blocks) of JSON lines or a table
out  Part: some rows of the block, with a table of them or without; `texts_of` that table are the
     two columns of text that make a transcript's row, and no other column that is read

Where the two might differ, or a column asks for a decision, there is no table: such rows are read
one by one. What pyarrow takes and JSON or we do not: two objects on a line, one on two lines, text
that is not UTF-8, `Inf`. What it refuses and we set aside alone: half a character, a column that
stands twice, a number for a text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tasks.core.blocks import RECORDS, Block
from tasks.core.fitting import require_columns

SIDES = ("chosen", "rejected")
FEW_LINES = 32  # are not halved again to find the one that pyarrow does not read as we do

Table = Any  # pyarrow.Table


@dataclass(frozen=True)
class Part:
    """Some rows of a block."""

    block: Block
    table: Table = None  # the same rows; None where they must be read one by one
    starts: Any = None  # of JSON lines: where each begins, and the end of them all


def parts_of(block: Block) -> Iterator[Part]:
    """JSON lines are halved until what cannot be read at once is small."""
    if block.lines is None:
        yield Part(block, block.table)
        return
    part = _parse_lines(block)
    cut = block.lines.find(b"\n", len(block.lines) // 2) + 1
    if part.table is not None or cut in (0, len(block.lines)) or len(part.starts) <= FEW_LINES:
        yield part
        return
    head, tail = block.lines[:cut], block.lines[cut:]
    yield from parts_of(Block(block.first, 0, lines=head))
    yield from parts_of(Block(block.first + head.count(b"\n"), 0, lines=tail))


def _parse_lines(block: Block) -> Part:
    """With a table where every line is one object that pyarrow reads as we do."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.json as pj

    lines = block.lines or b""
    data = np.frombuffer(lines, np.uint8)
    breaks = np.flatnonzero(data == ord("\n"))
    ends = breaks if lines.endswith(b"\n") else np.append(breaks, len(lines))
    starts = np.concatenate(([0], ends + 1))
    # pyarrow takes two objects on a line, and one on two lines: no line may begin otherwise, and
    # an object that stands inside another makes a column of a type that is not taken.
    if (data[starts[:-1]] != ord("{")).any():
        return Part(block, starts=starts)
    try:
        table = pj.read_json(
            pa.BufferReader(lines),
            pj.ReadOptions(use_threads=False, block_size=len(lines) + 1),
            pj.ParseOptions(explicit_schema=pa.schema([(side, pa.string()) for side in SIDES])),
        )
    except pa.ArrowInvalid:  # half a character, a column that stands twice, a number for a text
        return Part(block, starts=starts)
    # A number may be too long for one of us; what lies deeper may hold one.
    alike = ("string", "int64", "bool", "null")
    simple = all(str(type_) in alike for type_ in table.schema.types)
    return Part(block, table if simple and len(table) == len(ends) else None, starts)


def texts_of(table: Table) -> Table:
    """`chosen` and `rejected`; None where more of the table is read, or not as text."""
    import pyarrow as pa

    names = table.column_names
    if not len(table) or not {*SIDES} <= {*names} or {*require_columns(names, "")} != {*SIDES}:
        return None
    if {*names} >= RECORDS:  # rows that a run set aside: what stands in `record` counts
        return None
    columns = table.select(SIDES)
    if not all(pa.types.is_string(t) or pa.types.is_large_string(t) for t in columns.schema.types):
        return None
    try:
        columns = columns.cast(pa.schema([(side, pa.string()) for side in SIDES]))
        table.validate(full=True)
    except pa.ArrowInvalid:  # not UTF-8, also in a column that nobody reads
        return None
    return columns.combine_chunks()
