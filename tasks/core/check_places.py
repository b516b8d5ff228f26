"""Rows of findings -> where they stand, for annotations and links.

in   what was read, findings
out  (split, row) -> Place: the file as its repository calls it, and the line
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from expectations.measures.finding import Finding
from tasks.core.check_files import Read
from tasks.core.load import places_of

ROWS = 10  # of each finding and split; a page with more is not read


class Place(NamedTuple):
    file: str
    line: int | None  # parquet has no lines
    tracked: bool  # whether the file lies in a repository


Places = Mapping[tuple[str, int], Place]


def places(read: Read, findings: Iterable[Finding]) -> Places:
    """Each file is read once, however many findings name it. Rows of the Hub have no place."""
    wanted: dict[str, set[int]] = {}
    for one in findings:
        if not one.passed:
            for split, rows in one.rows.items():
                wanted.setdefault(split, set()).update(rows[:ROWS])
    found: dict[tuple[str, int], Place] = {}
    for source in read.sources:
        rows_here = wanted.get(source.split)
        if source.path is not None and rows_here:
            for row, (file, line) in places_of(source.path, rows_here).items():
                found[source.split, row] = _place(file, line)
    return found


def _place(file: str, line: int | None) -> Place:
    """GitHub knows a file by its path from the top of its repository."""
    path = Path(file).resolve()
    top = next((folder for folder in path.parents if (folder / ".git").exists()), None)
    if top is None:
        return Place(file, line, False)
    return Place(path.relative_to(top).as_posix(), line, True)
