"""The safe remedies: a file of pairs in, the same file without what no training should see.

in   a local file of pairs in any form that tasks.core.load reads, perhaps the test file
out  the rows that stay, in the form and order they came in, and a Mended that says what was done

White space around answers goes; empty, equal, contradictory and repeated pairs go, and pairs whose
prompt stands in the test file. No word is changed; whatever else is wrong with a row stays.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from expectations.measures.answers import Answers
from expectations.measures.chunk import SIDES
from expectations.measures.copies import print_of
from expectations.measures.pairs import Pairs
from expectations.measures.splits import question_key
from tasks.core.as_pairs import as_pairs
from tasks.core.aside_text import is_set_aside, unfold
from tasks.core.errors import InputError
from tasks.core.fields import Twice
from tasks.core.forms import checked
from tasks.core.frame import pairs_frame
from tasks.core.load import load_file, raw_rows
from tasks.core.sources import FILE_ENDINGS, is_known, kind_of, packed, require_file
from tasks.core.written import put_in_place, rewritten, row_numbers

# What differs from row to row in one and the same reason.
DETAILS = r"(?s) \(turns \d+ and \d+\)| at character [\d,]+|(: |; found ).*"
LAST_TURN = re.compile(r"^(.*\n\nAssistant:)(.*)$", re.DOTALL)  # of an HH-RLHF transcript


@dataclass(frozen=True)
class Mended:
    read: int
    kept: int
    stripped: list[int]  # rows whose answers lost outer white space
    dropped: dict[str, list[int]]  # reason -> rows
    left: dict[str, list[int]]  # what is wrong and was not touched -> rows


def mend(source: str, out: Path, against: str | None) -> Mended:
    """Write `out`, whole or not at all. Raises InputError for a file that holds no pairs."""
    for name in (source, against) if against else (source,):
        _require_place(_require_local(name), out)
    path = require_file(source)
    _require_kind(path, out)
    values = raw_rows(source)
    stripped = [number for number, value in values if _strip(value)]
    loaded = checked(values, str(path))
    if loaded.form == "conversations":
        raise InputError(f"{path}: holds conversations, no pairs; there is nothing to mend.")
    if loaded.ties and not loaded.rows and not loaded.faults:
        raise InputError(f"{path}: no pairs; all rows are ties. There is nothing to mend.")
    pairs = Pairs(pairs_frame(as_pairs(loaded), "train"))
    dropped = _dropped(pairs, _keys(against))
    gone = {row for rows in dropped.values() for row in rows}
    if len(gone) == len(values):
        why = [f"{reason}: {row_numbers(rows)}" for reason, rows in dropped.items() if rows]
        raise InputError(f"{path}: nothing is left, nothing written. Dropped, {'; '.join(why)}.")
    reason = pl.col("why").str.replace_all(DETAILS, "")
    faults = pairs.faults.filter(~pl.col("row").is_in(gone)).select("row", why=reason).unique()
    left = faults.sort("row", "why").group_by("why", maintain_order=True).agg("row")
    kept = {number: value for number, value in values if number not in gone}
    _write(out, path, kept, set(stripped), alone=len(values) == 1)
    return Mended(len(values), len(kept), stripped, dropped, dict(left.iter_rows()))


def mend_in_words(source: str, out: Path, against: str | None) -> list[str]:
    """What `pairpress mend` says, once it is done. A file of rows set aside becomes text."""
    path = _require_local(source)
    if is_set_aside(path):
        _require_place(path, out)
        return unfold(path, out, against)
    return sentences(mend(source, out, against))


def sentences(mended: Mended) -> list[str]:
    """What each remedy did, with the first rows."""
    lines = [f"stripped outer white space of answers: {row_numbers(mended.stripped)}"]
    lines += [f"dropped, {reason}: {row_numbers(rows)}" for reason, rows in mended.dropped.items()]
    lines += [f"left as it is, {why}: {row_numbers(rows)}" for why, rows in mended.left.items()]
    return [*lines, f"{mended.kept:,} of {mended.read:,} rows written"]


def _require_local(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: no such file. `mend` reads and writes local files.")
    return require_file(name)


def _require_place(path: Path, out: Path) -> None:
    if out.resolve() == path.resolve():
        raise InputError(f"--out {out}: is a file that is read. Name another.")
    try:
        folder, in_folder = out.is_dir(), out.parent.is_dir()
    except OSError as error:  # a name too long, a folder that may not be entered
        raise InputError(
            f"--out {out}: no name for a file ({error.strerror}). Name another."
        ) from error
    if folder:
        raise InputError(f"--out {out}: is a folder. Name a file in it.")
    if not is_known(out.name):
        raise InputError(f"--out {out}: of no known kind; known: {', '.join(FILE_ENDINGS)}.")
    if not in_folder:
        raise InputError(f"--out {out}: no such folder {out.parent}. Make it first.")


def _require_kind(path: Path, out: Path) -> None:
    if (kind_of(out) == "parquet") != (kind_of(path) == "parquet"):
        raise InputError(f"--out {out}: a parquet file stays one, and JSON stays JSON.")
    if "csv" in (kind_of(out), kind_of(path)):
        raise InputError(f"--out {out}: CSV is read, not written. Name JSON or parquet.")


def _strip(row: Any) -> bool:
    """Strip the answers of a raw row where they stand; True if anything went."""
    if not isinstance(row, dict) or isinstance(row, Twice):
        return False  # of a column that stands twice only one would be written again
    went = False
    for side in ("chosen", "rejected"):
        value = row.get(side)
        if isinstance(value, str):
            bare = _bare(value)
            went |= bare != value
            row[side] = bare
        last = value[-1] if isinstance(value, list) and value else value
        if isinstance(last, dict) and not isinstance(last, Twice):
            for key in ("content", "value"):
                if isinstance(last.get(key), str):
                    went |= last[key].strip() != last[key]
                    last[key] = last[key].strip()
    return went


def _bare(answer: str) -> str:
    """A transcript keeps its turns: only the answer after the last marker is stripped."""
    transcript = LAST_TURN.match(answer)
    if transcript is None:
        return answer.strip()
    before, said = transcript.groups()
    return f"{before} {said.strip()}" if said.strip() else str(before)


def _keys(against: str | None) -> pl.Series:
    if against is None:
        return pl.Series([], dtype=pl.UInt64)
    test = Pairs(pairs_frame(as_pairs(load_file(against)), "test"))
    return test.select({"key": _key()}, good=False)["key"].drop_nulls()


def _key() -> pl.Expr:
    """Of a prompt that can be read, whatever is wrong with the answers; null of another."""
    question = pl.col("question")
    return pl.when(question.str.strip_chars() != "").then(question_key(question).hash())


def _says_nothing() -> pl.Expr:
    """A side is empty, or nothing that could be read; an odd character in it is something."""
    of_check = pl.element().struct.field("check") == "P1"
    lost = [
        pl.col(side).is_null()
        & pl.col("faults")
        .list.eval(of_check & pl.element().struct.field("side").is_in([side, ""]))
        .list.any()
        for side in SIDES
    ]
    empty = [why.is_not_null() for why in Answers().whys().values()]
    return pl.any_horizontal(*lost, *empty).fill_null(False)


def _dropped(pairs: Pairs, test: pl.Series) -> dict[str, list[int]]:
    rows = pairs.select(
        {
            "row": pl.col("row"),
            **{side: print_of(side) for side in SIDES},
            "key": _key(),
            "nothing": _says_nothing(),
        },
        good=False,
    )
    whole = pl.all_horizontal(pl.col(side).is_not_null() for side in SIDES)
    one, other = (
        pl.struct("prompt", first="chosen", second="rejected"),
        pl.struct("prompt", first="rejected", second="chosen"),
    )
    opposites = rows.select(other).to_series().implode()
    found: Mapping[str, pl.Expr] = {
        "an answer or a prompt says nothing": pl.col("nothing"),
        "chosen equals rejected": pl.col("chosen") == pl.col("rejected"),
        "another row prefers the opposite": whole & one.is_in(opposites),
        "the same pair stands in an earlier row": whole & ~one.is_first_distinct(),
        "its prompt stands in the test file": pl.col("key").is_in(test.implode()),
    }
    reason = pl.coalesce(pl.when(where).then(pl.lit(why)) for why, where in found.items())
    told = rows.with_columns(reason.alias("why"))
    return {why: told.filter(pl.col("why") == why)["row"].to_list() for why in found}


def _write(
    out: Path, source: Path, kept: Mapping[int, Any], changed: set[int], *, alone: bool
) -> None:
    def write(part: Path) -> None:
        if kind_of(out) == "parquet":
            schema = pl.read_parquet_schema(source)
            pl.DataFrame(list(kept.values()), schema=schema).write_parquet(part)
        else:
            data = rewritten(source, out, kept, changed, alone=alone)
            part.write_bytes(packed(out, data))

    put_in_place(out, write)
