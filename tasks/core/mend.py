"""The safe remedies: a file of pairs in, the same file without what no training should see.

in   a local file of pairs in any form that tasks.core.load reads, perhaps the test file
out  the rows that stay, in the form and order they came in, and a Mended that says what was done

White space around answers goes; empty, equal, contradictory and repeated pairs go, and pairs whose
prompt stands in the test file. No word is changed; whatever else is wrong with a row stays.
"""

import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from expectations.measures.answers import Answers
from expectations.measures.pairs import Pairs
from expectations.measures.splits import question_key
from tasks.core.errors import InputError
from tasks.core.forms import checked
from tasks.core.frame import pairs_frame
from tasks.core.load import load_file, raw_rows, require_file
from tasks.core.reformat import as_pairs

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
    path = require_file(source)
    _require_place(path, out)
    values = raw_rows(source)
    stripped = [number for number, value in values if _strip(value)]
    loaded = checked(values, str(path))
    if loaded.form == "conversations":
        raise InputError(f"{path}: holds conversations, no pairs; there is nothing to mend.")
    pairs = Pairs(pairs_frame(as_pairs(loaded), "train"))
    dropped = _dropped(pairs, _keys(against))
    gone = {row for rows in dropped.values() for row in rows}
    faults = pairs.faults.filter(~pl.col("row").is_in(gone)).unique(["row", "why"])
    left = faults.sort("row").group_by("why", maintain_order=True).agg("row")
    kept = [value for number, value in values if number not in gone]
    _write(out, kept, path)
    return Mended(len(values), len(kept), stripped, dropped, dict(left.iter_rows()))


def sentences(mended: Mended) -> list[str]:
    """What each remedy did, with the first rows."""
    lines = [f"stripped outer white space of answers: {_rows(mended.stripped)}"]
    lines += [f"dropped, {reason}: {_rows(rows)}" for reason, rows in mended.dropped.items()]
    lines += [f"left as it is, {why}: {_rows(rows)}" for why, rows in mended.left.items()]
    return [*lines, f"{mended.kept:,} of {mended.read:,} rows written"]


def _rows(rows: list[int]) -> str:
    if not rows:
        return "0 rows"
    more = ", ..." if len(rows) > 8 else ""
    noun = "row" if len(rows) == 1 else "rows"
    return f"{len(rows):,} {noun} ({', '.join(str(row) for row in rows[:8])}{more})"


def _require_place(path: Path, out: Path) -> None:
    if out.resolve() == path.resolve():
        raise InputError(f"--out {out}: is the file that is read. Name another.")
    endings = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
    if not out.name.endswith(endings):
        raise InputError(f"--out {out}: of no known kind; known: {', '.join(endings)}.")
    if (out.suffix == ".parquet") != (path.suffix == ".parquet"):
        raise InputError(f"--out {out}: a parquet file stays one, and JSON stays JSON.")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: no such folder {out.parent}. Make it first.")


def _strip(row: Any) -> bool:
    """Strip the answers of a raw row where they stand; True if anything went."""
    if not isinstance(row, dict):
        return False
    went = False
    for side in ("chosen", "rejected"):
        value = row.get(side)
        if isinstance(value, str):
            bare = _bare(value)
            went |= bare != value
            row[side] = bare
        last = value[-1] if isinstance(value, list) and value else value
        if isinstance(last, dict):
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
    return test.select({"key": question_key(pl.col("question")).hash()}, good=False)["key"]


def _dropped(pairs: Pairs, test: pl.Series) -> dict[str, list[int]]:
    chosen, rejected = (pl.col(f"{side}_text").str.strip_chars() for side in ("chosen", "rejected"))
    rows = pairs.select(
        {
            "row": pl.col("row"),
            "prompt": pl.col("prompt_text").hash(),
            "chosen": chosen.hash(),
            "rejected": rejected.hash(),
            "key": question_key(pl.col("question")).hash(),
        },
        good=False,
    )
    one, other = (
        pl.struct("prompt", first="chosen", second="rejected"),
        pl.struct("prompt", first="rejected", second="chosen"),
    )
    found: Mapping[str, pl.Expr] = {
        "an answer or a prompt says nothing": pl.col("row").is_in(
            pairs.broken(Answers())["row"].implode()
        ),
        "chosen equals rejected": pl.col("chosen") == pl.col("rejected"),
        "another row prefers the opposite": one.is_in(rows.select(other).to_series().implode()),
        "the same pair stands in an earlier row": ~one.is_first_distinct(),
        "its prompt stands in the test file": pl.col("key").is_in(test.implode()),
    }
    reason = pl.coalesce(pl.when(where).then(pl.lit(why)) for why, where in found.items())
    told = rows.with_columns(reason.alias("why"))
    return {why: told.filter(pl.col("why") == why)["row"].to_list() for why in found}


def _write(out: Path, rows: list[Any], source: Path) -> None:
    """Beside its place first, then by one rename."""
    part = out.with_name(f"{out.name}.part")
    if out.suffix == ".parquet":
        pl.DataFrame(rows, schema=pl.read_parquet_schema(source)).write_parquet(part)
    else:
        if ".jsonl" in out.name:
            text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        else:
            text = json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
        data = text.encode("utf-8", "surrogatepass")
        part.write_bytes(gzip.compress(data, mtime=0) if out.suffix == ".gz" else data)
    part.replace(out)
