"""The text of a row as its own file has it: what a parser would lose is still there."""

import json
from pathlib import Path

import polars as pl
import pytest

from tasks.core import blocks
from tasks.core.blocks import read_blocks, values_of
from tasks.core.row_texts import texts_of_rows

ODD = ['{"a": 1, "a":  2}', '{"a": 1e400}', '{"a": "\\ud83d"}', "[ 1,2 ]", '{"ü": "\u2028"}']


def texts(path: Path, numbers: set[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for block in read_blocks(path):
        found |= texts_of_rows(block, numbers & {*range(block.first, block.last + 1)})
    return found


@pytest.mark.parametrize("most_rows", [2, 10_000])
def test_lines_and_elements_are_as_they_were_written(
    tmp_path: Path, most_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "MOST_ROWS", most_rows)
    lines, array = tmp_path / "rows.jsonl", tmp_path / "rows.json"
    lines.write_text("".join(f"{text}\r\n" for text in ODD), newline="")
    array.write_text("\n[\n " + " ,\n ".join(ODD) + "]\n")
    for path in (lines, array):
        assert texts(path, {1, 2, 3, 4, 5}) == dict(enumerate(ODD, start=1))
        assert texts(path, {4}) == {4: "[ 1,2 ]"}
        assert texts(path, set()) == {}


def test_rows_of_tables_are_json_that_can_be_stored(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a,b\nGr\xc3\xbc\xc3\x9fe,1\nalone\n")
    assert texts(path, {1, 2}) == {1: '{"a": "Grüße", "b": "1"}', 2: "alone"}
    one = tmp_path / "one.json"
    one.write_text('{"a":\n "half \\ud83d"}')
    assert texts(one, {1}) == {1: '{"a": "half \\ud83d"}'}


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "json"])
def test_a_row_that_was_set_aside_before_has_the_text_of_its_own_file(
    tmp_path: Path, ending: str
) -> None:
    records = [*ODD[:2], "{oops"]
    rows = [
        {"row": n, "code": "damaged", "reason": "", "text": "", "record": record}
        for n, record in enumerate(records)
    ]
    path = tmp_path / f"set-aside.{ending}"
    if ending == "parquet":
        pl.DataFrame(rows).write_parquet(path)
    else:
        lines = [json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) if ending == "jsonl" else f"[{','.join(lines)}]")
    assert texts(path, {1, 2, 3}) == dict(enumerate(records, start=1))
    assert len([row for block in read_blocks(path) for row in values_of(block)]) == 3
