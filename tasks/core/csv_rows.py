"""A CSV file -> its header and its rows one by one, every column as text.

in   .csv or .tsv, packed or not; fields between commas, semicolons or tabs, as the header has
     them, or as a first line `sep=;` says
out  Record: its fields, or why it cannot be read and the text that stands there

Quotes are read strictly: what is quoted wrongly is told, not guessed.
"""

import csv
import io
import re
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from tasks.core.errors import InputError
from tasks.core.sources import read_chunks

CHUNK = 1 << 20  # bytes
TABBED = (".tsv", ".tsv.gz", ".tsv.zst")
SAID = re.compile(r'"?sep=([^"\w\r\n ])"?[\r\n]*', re.IGNORECASE)  # for a spreadsheet
ODD_BYTE = re.compile("[\udc80-\udcff]")  # as surrogateescape keeps a byte that is not UTF-8


class Record(NamedTuple):
    line: int  # on which it begins
    fields: list[str]
    taken: int  # bytes of the file that are read by now
    why: str | None = None  # it cannot be read
    text: str = ""  # of one that cannot be read


class _Chunks(io.RawIOBase):
    """What read_chunks gives, as a file."""

    def __init__(self, path: Path) -> None:
        self.chunks, self.left, self.taken = read_chunks(path, CHUNK), memoryview(b""), 0

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        if not self.left:
            data, taken = next(self.chunks, (b"", 0))
            self.left, self.taken = memoryview(data), self.taken + taken
        count = min(len(into), len(self.left))
        into[:count], self.left = self.left[:count], self.left[count:]
        return count


def open_csv(path: Path) -> tuple[list[str], Iterator[Record]]:
    """(names of the columns, rows). Raises InputError for a header that names none clearly."""
    records = _records(path)
    header = next(records, Record(1, [], 0))
    if header.why:
        raise InputError(f"{path}:1: {header.why} in the header. Save the file as UTF-8 CSV.")
    names = header.fields
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}:1: the header names `{twice}` twice. Rename one of the columns.")
    return names, (_held_to(len(names), record) for record in records)


def _held_to(width: int, record: Record) -> Record:
    if record.why or len(record.fields) == width:
        return record
    has = len(record.fields)
    why = f"{has} field{'s' if has > 1 else ''} where the header names {width} columns"
    return record._replace(why=why, text=",".join(record.fields))


def _records(path: Path) -> Iterator[Record]:
    """The header and every row behind it; a blank line is none."""
    csv.field_size_limit(sys.maxsize)  # an answer may be longer than csv's own 128 KiB
    file = _Chunks(path)
    buffered = io.BufferedReader(file, CHUNK)
    text = io.TextIOWrapper(buffered, "utf-8", errors="surrogateescape", newline="")
    skipped, head = 0, text.readline()
    while head and not head.strip():
        skipped, head = skipped + 1, text.readline()
    delimiter = "\t" if path.name.lower().endswith(TABBED) else _delimiter(head)
    if said := SAID.fullmatch(head):
        delimiter, skipped, head = said[1], skipped + 1, text.readline()
    read: list[str] = []

    def lines() -> Iterator[str]:
        for line in chain([head] if head else [], text):
            read.append(line)
            yield line

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    while True:
        line, why = skipped + reader.line_num + 1, None
        read.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fields, why = [], f"not CSV ({error})"
        whole = "".join(read)
        odd = None if whole.isascii() else ODD_BYTE.search(whole)
        if odd:
            why = f"byte 0x{ord(odd[0]) & 0xFF:02x} is not UTF-8"
            whole = whole.encode(errors="surrogateescape").decode(errors="backslashreplace")
        if fields or why:
            yield Record(line, fields, file.taken, why, whole if why else "")


def _delimiter(head: str) -> str:
    """What stands most often in the header: a comma, or what spreadsheets put in its place."""
    return max(",;\t", key=head.count)
