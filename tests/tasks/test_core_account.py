"""Every source row is used or set aside, and what was set aside can be fed in again."""

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.core.account import write_account
from tasks.core.aside import set_aside
from tasks.core.blocks import read_blocks, values_of
from tasks.core.fields import Row
from tasks.core.rows import write_rows

ROWS = [{"prompt": f"q{n}", "chosen": "a\u2028b", "rejected": "c"} for n in range(1, 7)]


def lines(folder: Path, name: str = "a.jsonl", rows: list[Row] = ROWS) -> tuple[str, Path]:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    data = text.encode()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return name, folder / name


def stage(folder: Path, name: str, rows: list[tuple[int, str]]) -> tuple[str, Path]:
    aside = [set_aside(row, code, f"row {row} is {code}", "text") for row, code in rows]
    write_rows(folder / f"{name}.parquet", aside)
    return name, folder / f"{name}.parquet"


def account(tmp_path: Path, *args: Any) -> tuple[dict[str, Any], list[Row]]:
    facts = write_account(tmp_path / "set-aside.parquet", *args)
    return facts, pl.read_parquet(tmp_path / "set-aside.parquet").to_dicts()


def test_a_row_set_aside_stands_there_with_its_place_its_stage_and_its_own_text(
    tmp_path: Path,
) -> None:
    stages = [stage(tmp_path, "reformat", [(2, "damaged")]), stage(tmp_path, "split", [])]
    facts, (row,) = account(tmp_path, [lines(tmp_path)], stages, {1, 3, 4, 5, 6}, 6)
    assert facts == {"read": 6, "used": 5, "set_aside": 1, "reasons": {"damaged": 1}}
    assert (row["row"], row["source"], row["stage"]) == (2, "a.jsonl:2", "reformat")
    assert (row["code"], row["reason"]) == ("damaged", "row 2 is damaged")
    assert json.loads(row["record"]) == ROWS[1]


def test_a_row_that_left_a_pair_behind_is_used_and_counted_once(tmp_path: Path) -> None:
    stages = [stage(tmp_path, "curate", [(1, "cut-off"), (2, "cut-off"), (2, "empty-answer")])]
    facts, rows = account(tmp_path, [lines(tmp_path, rows=ROWS[:2])], stages, {1}, 2)
    assert facts == {"read": 2, "used": 1, "set_aside": 1, "reasons": {"empty-answer": 1}}
    assert [(row["row"], row["used"]) for row in rows] == [(1, True), (2, False)]
    assert rows[1]["reason"] == "row 2 is empty-answer; row 2 is cut-off"
    again = read_blocks(tmp_path / "set-aside.parquet")
    assert [value for block in again for _, value in values_of(block)] == [ROWS[1]]


def test_a_row_that_is_nowhere_stops_the_run(tmp_path: Path) -> None:
    stages = [stage(tmp_path, "reformat", [(2, "damaged")])]
    with pytest.raises(AssertionError, match="6 source rows were read, but 4 are used and 1 set"):
        account(tmp_path, [lines(tmp_path)], stages, {1, 3, 4, 5}, 6)


def test_the_set_aside_file_is_read_again_as_the_rows_that_it_holds(tmp_path: Path) -> None:
    stages = [stage(tmp_path, "reformat", [(2, "damaged"), (5, "tie")])]
    account(tmp_path, [lines(tmp_path)], stages, {1, 3, 4, 6}, 6)
    blocks = read_blocks(tmp_path / "set-aside.parquet")
    assert [value for block in blocks for _, value in values_of(block)] == [ROWS[1], ROWS[4]]


def test_numbers_go_on_from_file_to_file_and_the_place_names_the_file(tmp_path: Path) -> None:
    files = [lines(tmp_path, "a.jsonl"), lines(tmp_path, "b.jsonl.gz", ROWS[:2])]
    stages = [stage(tmp_path, "reformat", [(6, "tie"), (8, "tie")])]
    _, rows = account(tmp_path, files, stages, {1, 2, 3, 4, 5, 7}, 8)
    assert [row["source"] for row in rows] == ["a.jsonl:6", "b.jsonl.gz:2"]
    assert [json.loads(row["record"]) for row in rows] == [ROWS[5], ROWS[1]]


def test_a_line_that_is_no_json_is_kept_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"prompt": "q"\n\n' + b"\xff\n")
    stages = [stage(tmp_path, "reformat", [(1, "unreadable"), (3, "unreadable")])]
    _, rows = account(tmp_path, [("a.jsonl", tmp_path / "a.jsonl")], stages, set(), 2)
    assert [row["record"] for row in rows] == ['{"prompt": "q"', "\\xff"]


def test_half_a_character_is_kept_as_its_escape(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"prompt": "\\ud800", "chosen": "é"}]')
    stages = [stage(tmp_path, "reformat", [(1, "damaged")])]
    _, (row,) = account(tmp_path, [("a.json", tmp_path / "a.json")], stages, set(), 1)
    assert json.loads(row["record"]) == {"prompt": "\ud800", "chosen": "é"}


def test_rows_of_a_table_are_kept_as_json(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.parquet", ROWS)
    stages = [stage(tmp_path, "reformat", [(3, "tie")])]
    files = [("a.parquet", tmp_path / "a.parquet")]
    _, (row,) = account(tmp_path, files, stages, {1, 2, 4, 5, 6}, 6)
    assert (row["source"], json.loads(row["record"])) == ("a.parquet:3", ROWS[2])


def test_nothing_set_aside_leaves_an_empty_file(tmp_path: Path) -> None:
    facts, rows = account(tmp_path, [lines(tmp_path)], [], {1, 2, 3, 4, 5, 6}, 6)
    assert facts == {"read": 6, "used": 6, "set_aside": 0, "reasons": {}}
    assert rows == []
