"""Rows on disk: parquet, read back as they were written."""

from pathlib import Path

import polars as pl

from tasks.core.fields import Row
from tasks.core.rows import HELD, of_split, read_rows, split_of, write_rows
from tasks.core.stage import Folder


def pair(row: int, split: str) -> Row:
    return {
        "row": row,
        "split": split,
        "prompt": [{"role": "system", "content": ""}, {"role": "user", "content": f"Hi {row} 你"}],
        "chosen": [{"role": "assistant", "content": "a\u2028b\n"}],
        "rejected": [{"role": "assistant", "content": "c"}],
        "tokens": 7,
    }


PAIRS = [pair(1, "train"), pair(4, "test"), pair(5, "train")]


def test_pairs_come_back_as_they_were_written(tmp_path: Path) -> None:
    assert write_rows(tmp_path / "rows.parquet", PAIRS) == 3
    assert read_rows(tmp_path / "rows.parquet") == PAIRS


def test_columns_are_picked_in_the_order_asked(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.parquet", PAIRS, ("chosen", "row"))
    found = read_rows(tmp_path / "rows.parquet")
    assert [list(row) for row in found] == [["chosen", "row"]] * 3
    assert [row["row"] for row in found] == [1, 4, 5]


def test_transcripts_in_the_columns_of_messages_stay_text(tmp_path: Path) -> None:
    rows = [{"row": 1, "chosen": "\n\nHuman: a", "rejected": "\n\nHuman: b"}]
    write_rows(tmp_path / "rows.parquet", rows)
    assert read_rows(tmp_path / "rows.parquet") == rows


def test_an_empty_list_of_messages_stays_one(tmp_path: Path) -> None:
    rows = [{"row": 1, "conversations": []}]
    write_rows(tmp_path / "rows.parquet", rows)
    assert read_rows(tmp_path / "rows.parquet") == rows


def test_no_rows_are_a_file_too(tmp_path: Path) -> None:
    assert write_rows(tmp_path / "rows.parquet", []) == 0
    assert read_rows(tmp_path / "rows.parquet") == []


def test_the_checks_read_the_same_file_as_lists_of_messages(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.parquet", PAIRS)
    message = pl.Struct({"role": pl.String, "content": pl.String})
    schema = pl.read_parquet_schema(tmp_path / "rows.parquet")
    assert schema["prompt"] == schema["chosen"] == schema["rejected"] == pl.List(message)
    assert schema["row"] == pl.Int64


def test_a_split_of_a_stage_is_its_rows_of_that_name(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.parquet", PAIRS)
    folder = Folder(stage="curate", path=tmp_path, digest="")
    assert of_split(folder, "train") == [PAIRS[0], PAIRS[2]]
    assert of_split(folder, "validation") == []


def test_a_split_in_its_file_is_counted_and_gone_through_more_than_once(tmp_path: Path) -> None:
    names = ("train", "test", "train")
    pairs = [pair(row, names[row % 3]) for row in range(2 * HELD + 5)]  # three batches
    write_rows(tmp_path / "rows.parquet", pairs)
    train = split_of(Folder(stage="curate", path=tmp_path, digest=""), "train")
    expected = [one for one in pairs if one["split"] == "train"]
    assert len(train) == len(expected)
    assert list(train) == list(train) == expected
