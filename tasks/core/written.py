"""The text of a JSON file -> the same text without some rows, and with others changed.

in   .jsonl or .json, the rows that stay, and which of them were changed
out  bytes. A row that was not changed keeps its text, and with it what a parser loses: 1e400, a
     column that stands twice, the spacing. One that was is written in the style of its own text
"""

import contextlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expectations.measures.measure import several
from tasks.core.blocks import is_array
from tasks.core.errors import InputError
from tasks.core.json_array import elements
from tasks.core.sources import kind_of, read_bytes

# A string holds no line break, so that each of these stands between the parts of a value.
BREAK_AFTER_COMMA, BREAK = re.compile(r",\s*\n\s*"), re.compile(r"\s*\n\s*")
SHOWN = 8  # row numbers in a sentence


@dataclass(frozen=True)
class Written:
    """`rows`: row -> its text. Between two of them, before the first and after the last stands
    what a file of this style has there."""

    rows: Mapping[int, str]
    opening: str
    between: str
    closing: str


def read_written(path: Path, rows: list[int], *, alone: bool) -> Written:
    """The texts of `rows`; `alone`: the file holds one, perhaps over many lines."""
    data = read_bytes(path)
    text = data.decode()
    if is_array(path, data):
        spans = list(elements(text))
        texts = {row: text[begin:end] for row, (begin, end) in enumerate(spans, start=1)}
        opening, closing = text[: spans[0][0]], text[spans[-1][1] :]
        between = text[spans[0][1] : spans[1][0]] if len(spans) > 1 else ","
        return Written(texts, opening, between, closing)
    if alone:
        return Written({rows[0]: text.strip()}, "", "\n", "\n")
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.split("\n")
    texts = {row: lines[row - 1].removesuffix("\r") for row in rows}
    return Written(texts, "", newline, newline)


def on_one_line(text: str) -> str:
    """A JSON value that was written over several lines."""
    return BREAK.sub("", BREAK_AFTER_COMMA.sub(", ", text))


def put_in_place(out: Path, write: Callable[[Path], object]) -> None:
    """A file that is there whole or not at all: beside its place first, then by one rename."""
    part = out.with_name(f"{out.name}.part")
    try:
        write(part)
        part.replace(out)
    except OSError as error:
        reason = str(error).partition(" (")[0]  # of polars, with the name of `part` behind it
        raise InputError(
            f"--out {out}: cannot be written ({error.strerror or reason}). Name another place."
        ) from error
    finally:
        with contextlib.suppress(OSError):  # it has its place, or never came to be
            part.unlink()


def row_numbers(rows: list[int]) -> str:
    """How many, and the first of them."""
    if not rows:
        return "0 rows"
    first = ", ".join(str(row) for row in rows[:SHOWN]) + (", ..." if len(rows) > SHOWN else "")
    return f"{several(len(rows), 'row')} ({first})"


def rewritten(
    path: Path, out: Path, kept: Mapping[int, Any], changed: set[int], *, alone: bool
) -> bytes:
    """The rows of `path` that are kept as `out` takes them: lines, or an array."""
    was = read_written(path, list(kept), alone=alone)
    texts = [
        _made_anew(value, was, row, path) if row in changed else was.rows[row]
        for row, value in kept.items()
    ]
    opening, between, closing = was.opening, was.between, was.closing
    kinds = kind_of(path), kind_of(out)
    if kinds == ("json", "jsonl"):
        texts = [on_one_line(text) for text in texts]
        opening, between, closing = "", "\n", "\n"
    elif kinds == ("jsonl", "json"):
        opening, between, closing = "[\n ", ",\n ", "\n]\n"
    return f"{opening}{between.join(texts)}{closing}".encode()


def _made_anew(value: Any, was: Written, row: int, path: Path) -> str:
    """With the indentation and the escapes of the text that stood there."""
    text = was.rows[row]
    outer = was.opening.rpartition("\n")[2] if "\n" in was.opening else ""
    indented = re.match(r"[\[{]\r?\n([ \t]*)", text)
    try:
        made = json.dumps(
            value,
            ensure_ascii=text.isascii() or "\\u" in text,
            allow_nan=False,
            indent=indented.group(1).removeprefix(outer) if indented else None,
        )
    except (RecursionError, ValueError) as error:
        raise InputError(
            f"{path}:{row}: cannot be written again after its answers lost white space: it holds "
            "NaN, a number beyond 1e308 or lists within lists. Take that out of the row first."
        ) from error
    return made.replace("\n", ("\r\n" if "\r\n" in text else "\n") + outer)
