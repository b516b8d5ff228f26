"""Several files as one: rows are numbered on, and everything is told with its own file and line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.aside import set_aside
from tasks.core.errors import InputError
from tasks.core.load import load_file, places_of, raw_rows

CSV = 'prompt,chosen,rejected\n"csv\nof two lines",yes,no\ncsv 2,yes,no\n'


def pair(prompt: str) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": "yes", "rejected": "no"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two rows of each kind, in the order of their names."""
    (tmp_path / "a.csv").write_text(CSV)
    array = json.dumps([pair("json 1"), pair("json 2")], indent=1)
    (tmp_path / "b.json").write_text(array)
    lines = f"\n{json.dumps(pair('jsonl 2'))}\n\n{json.dumps(pair('jsonl 4'))}\n"
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    table = pa.Table.from_pylist([pair("parquet 1") | {"tag": 1}, pair("parquet 2") | {"tag": 2}])
    pq.write_table(table, tmp_path / "d.parquet")
    (tmp_path / "README.md").write_text("no data")
    return tmp_path


def prompts(name: str) -> dict[int, str]:
    return {row["row"]: row["prompt"][0]["content"] for row in load_file(name).rows}


def test_the_rows_of_each_file_count_on_from_the_last_of_the_one_before(folder: Path) -> None:
    expected = {
        1: "csv\nof two lines",
        2: "csv 2",
        3: "json 1",
        4: "json 2",
        6: "jsonl 2",
        8: "jsonl 4",
        9: "parquet 1",
        10: "parquet 2",
    }
    assert prompts(str(folder)) == prompts(f"{folder}/?.*") == expected


def test_every_row_is_found_again_in_its_file_and_on_its_line(folder: Path) -> None:
    array = (folder / "b.json").read_text().split("\n")
    begins = [number for number, line in enumerate(array, start=1) if line.strip() == "{"]
    places = {
        1: ("a.csv", 2),
        2: ("a.csv", 4),
        3: ("b.json", begins[0]),
        4: ("b.json", begins[1]),
        6: ("c.jsonl.gz", 2),
        8: ("c.jsonl.gz", 4),
        9: ("d.parquet", None),
        10: ("d.parquet", None),
    }
    expected = {row: (str(folder / name), line) for row, (name, line) in places.items()}
    assert places_of(str(folder), places) == expected


def test_a_broken_line_of_a_later_file_is_told_with_its_own_file_and_line(folder: Path) -> None:
    (folder / "e.jsonl").write_text(json.dumps(pair("e")) + "\n{oops\n")
    with pytest.raises(InputError) as refused:
        load_file(str(folder))
    assert str(refused.value).startswith(f"{folder / 'e.jsonl'}:2: not JSON")


def test_a_broken_row_of_a_csv_file_is_told_with_the_line_on_which_it_begins(
    folder: Path,
) -> None:
    path = folder / "a.csv"
    path.write_text(CSV + "alone\n")
    with pytest.raises(InputError) as refused:
        load_file(str(path))
    assert str(refused.value).startswith(f"{path}:5: 1 field where the header names 3 columns")


def test_a_set_aside_file_gives_the_rows_that_it_holds(tmp_path: Path) -> None:
    aside = set_aside(9, "tie", "", "") | {"source": "a:9", "record": json.dumps(pair("mended"))}
    path = tmp_path / "set_aside.parquet"
    pq.write_table(pa.Table.from_pylist([aside]), path)
    assert prompts(str(path)) == {1: "mended"}
    assert raw_rows(str(path)) == [(1, aside)]


def test_a_file_of_a_folder_that_holds_rows_of_no_form_is_named(folder: Path) -> None:
    pq.write_table(pa.table({"other": [1]}), folder / "e.parquet")
    with pytest.raises(InputError, match=r"e\.parquet: of no known form; found other"):
        load_file(str(folder))


def test_a_csv_file_that_only_has_its_header_is_called_empty(tmp_path: Path) -> None:
    path = tmp_path / "header.csv"
    path.write_text("prompt,chosen,rejected\n")
    with pytest.raises(InputError, match="empty, no rows"):
        load_file(str(path))
