"""What a stage set aside: in its folder, its facts and the log; all reasons as a table.

in   set_aside.parquet {"row", "code", "reason", "text"} beside the stage's rows.parquet
out  facts rows, set_aside (rows and pairs that went no further here), reasons (by code)
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.aside import CODES
from tasks.core.errors import InputError
from tasks.core.fields import Row
from tasks.core.rows import count_rows, write_rows
from tasks.core.stage import Folder
from tasks.staged import log

NOT_READ = ("unreadable", "damaged")
MOST_DAMAGED = 0.5  # of all rows; with more, the file is not what it was taken for
COLUMNS = ("row", "code", "reason", "text")


def write_stage(folder: Path, rows: list[Row], aside: list[Row]) -> dict[str, Any]:
    """rows.parquet and set_aside.parquet; returns the facts."""
    write_rows(folder / "rows.parquet", rows)
    write_rows(folder / "set_aside.parquet", aside)
    return described(folder)


def add_aside(folder: Path, more: list[Row]) -> None:
    """Rows that a later step of the same stage set aside."""
    path = folder / "set_aside.parquet"
    earlier = pl.read_parquet(path)
    if more:
        told = pl.DataFrame(more).select(COLUMNS)
        both = [frame.select(COLUMNS) for frame in (earlier, told) if frame.height]
        pl.concat(both).sort("row", maintain_order=True).write_parquet(path)


def described(folder: Path) -> dict[str, Any]:
    aside = pl.read_parquet(folder / "set_aside.parquet")
    codes = aside["code"].to_list() if aside.height else []
    reasons = dict(Counter(codes).most_common())
    rows = count_rows(folder / "rows.parquet")
    return {"rows": rows, "set_aside": len(codes), "reasons": reasons}


def require_some(folder: Path, name: str, read: int) -> None:
    """Raises InputError where no row is left, or most of them could not be read."""
    aside = pl.read_parquet(folder / "set_aside.parquet")
    rows = count_rows(folder / "rows.parquet")
    damaged = aside.filter(pl.col("code").is_in(NOT_READ)).height if aside.height else 0
    if rows and damaged <= read * MOST_DAMAGED:
        return
    kinds = aside.unique("code", maintain_order=True)
    first = [f"row {one['row']}: {one['reason']}" for one in kinds.head(3).to_dicts()]
    more = f"; and {kinds.height - 3} other reasons" if kinds.height > 3 else ""
    what = f"{damaged:,} of its {read:,} rows cannot be read" if rows else ""
    raise InputError(
        f"{name}: {what or f'none of its {read:,} rows can be used'} ({'; '.join(first)}{more}). "
        "Mend the rows, or set reformat.form where they are of another form."
    )


def set_aside_before(stages: Sequence[Folder]) -> str:
    """Where to look when too few rows are left: what earlier stages set aside, and why."""
    lines = [
        f" Set aside by {stage.stage}: "
        f"{', '.join(f'{code} {count:,}' for code, count in stage.facts['reasons'].items())} "
        f"({stage.path / 'set_aside.parquet'})."
        for stage in stages
        if stage.facts["reasons"]
    ]
    return "".join(lines)


def told(folder: Folder) -> Folder:
    """The same folder, after a line in the log; the account has all stages' on the run page."""
    found: dict[str, int] = folder.facts["reasons"]
    if found:
        log(f"{folder.stage}: set aside {', '.join(f'{code} {n:,}' for code, n in found.items())}")
    return folder


def as_lines(found: dict[str, int]) -> list[str]:
    """Lines of a Markdown table: why, what that means, how many."""
    return [f"| {code} | {CODES[code]} | {count:,} |" for code, count in found.items()]
