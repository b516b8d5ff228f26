"""A file -> blocks -> rows with their numbers, whatever the kind, in memory that stays flat."""

import csv
import io
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ground import ROOT

from tasks.core import blocks
from tasks.core.aside import set_aside
from tasks.core.blocks import Broken, read_blocks, values_of
from tasks.core.csv_rows import open_csv
from tasks.core.errors import InputError
from tasks.core.fields import Twice
from tasks.core.sources import packed

ROWS = [
    {"prompt": f"question {n}\u2028{'x' * 200}", "chosen": "Grüße", "rejected": f"no\n{n}"}
    for n in range(1, 3_001)
]
ENDINGS = ["jsonl", "jsonl.gz", "jsonl.zst", "json", "json.zst", "csv", "csv.gz", "parquet"]


def store(path: Path, rows: list[Any]) -> Path:
    """The rows in a file of the kind that its name says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    if ".csv" in path.name:
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        data = text.getvalue().encode()
    elif ".jsonl" in path.name:
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    else:
        data = json.dumps(rows, indent=1).encode()
    path.write_bytes(packed(path, data))
    return path


def rows_of(path: Path) -> list[tuple[int, Any]]:
    return [row for block in read_blocks(path) for row in values_of(block)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that every file has many."""
    monkeypatch.setattr(blocks, "BLOCK", 50_000)
    monkeypatch.setattr(blocks, "MOST_ROWS", 300)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.usefixtures("small")
def test_every_kind_gives_the_same_rows_in_many_blocks(tmp_path: Path, ending: str) -> None:
    path = store(tmp_path / f"rows.{ending}", ROWS)
    assert rows_of(path) == [*enumerate(ROWS, start=1)]
    parts = list(read_blocks(path))
    assert len(parts) > 5
    assert parts[0].first == 1 and parts[-1].last == len(ROWS) == blocks.last_of(path)
    assert all(a.last + 1 == b.first for a, b in pairwise(parts))
    assert sum(part.size for part in parts) == path.stat().st_size


@pytest.mark.usefixtures("small")
def test_a_line_longer_than_many_blocks_is_one_row(tmp_path: Path) -> None:
    long = {"text": "y" * 400_000}
    for ending in ("jsonl", "csv", "parquet"):
        path = store(tmp_path / f"long.{ending}", [ROWS[0] | long, ROWS[1] | long])
        assert rows_of(path) == [(1, ROWS[0] | long), (2, ROWS[1] | long)]


def test_blank_lines_count_and_give_no_row_and_windows_ends_are_no_part_of_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "gaps.jsonl"
    path.write_bytes(b'\xef\xbb\xbf\r\n{"a": 1}\r\n\n  \n{"a": 2}')
    assert rows_of(path) == [(2, {"a": 1}), (5, {"a": 2})]
    assert blocks.last_of(path) == 5


def test_a_line_that_cannot_be_read_stands_in_its_place_with_its_reason_and_text(
    tmp_path: Path,
) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": oops}\n{"a": "\xfc"}\n[[\n{"a": 1, "a": 2}\n')
    (_, good), (_, oops), (_, latin), (_, cut), (_, twice) = rows_of(path)
    assert good == {"a": 1} and isinstance(twice, Twice)
    assert isinstance(oops, Broken) and oops.text == '{"a": oops}'
    assert oops.reason.startswith("not JSON (Expecting value, column 7)")
    assert latin == Broken("byte 0xfc is not UTF-8 (column 8)", '{"a": "\\xfc"}')
    assert isinstance(cut, Broken)


def test_json_under_the_name_of_an_array_may_be_lines_of_objects_or_of_lists(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.json"
    for values in ([{"a": 1}, {"a": 2}], [[{"role": "user"}], [{"role": "user"}]]):
        path.write_text("".join(json.dumps(value) + "\n" for value in values))
        assert rows_of(path) == [*enumerate(values, start=1)]
        path.write_text(json.dumps(values[0], indent=1))  # one value over many lines
        one = values[0] if isinstance(values[0], list) else [values[0]]
        assert rows_of(path) == [*enumerate(one, start=1)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_is_text_between_whatever_the_header_has_between_its_names(
    tmp_path: Path, delimiter: str
) -> None:
    path = tmp_path / "rows.csv"
    given = {"prompt": 'say "hi",;\t', "chosen": "two\r\nlines", "rejected": "", "score": "4.5"}
    text = io.StringIO()
    writer = csv.DictWriter(text, given, delimiter=delimiter)
    writer.writeheader()
    writer.writerow(given)
    path.write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode() + b"\r\n")
    assert rows_of(path) == [(1, given)]


@pytest.mark.parametrize(
    ("before", "between", "line"),
    [("\n  \r\n", "\t", 4), ("sep=;\r\n", ";", 3), ('"sep=|"\n', "|", 3), ("sep=\t\n", "\t", 3)],
)
def test_a_csv_header_is_the_first_line_that_holds_names(
    tmp_path: Path, before: str, between: str, line: int
) -> None:
    path = tmp_path / "rows.csv"
    more = "" if before.isspace() else ", b, c"  # told by the first line, not by its names
    path.write_text(f"{before}prompt{between}a{more}\nx, y{between}z\n", newline="")
    assert rows_of(path) == [(1, {"prompt": "x, y", f"a{more}": "z"})]
    _, records = open_csv(path)
    assert [one.line for one in records] == [line]


@pytest.mark.parametrize("name", ["rows.tsv", "ROWS.TSV.GZ"])
def test_a_tsv_has_tabs_whatever_its_names_hold(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(packed(path, b"prompt\ta, b, c\nx, y\tz\n"))
    assert rows_of(path) == [(1, {"prompt": "x, y", "a, b, c": "z"})]


def test_lines_of_json_have_two_endings(tmp_path: Path) -> None:
    assert rows_of(store(tmp_path / "rows.jsonl", ROWS)) == [*enumerate(ROWS, 1)]
    (tmp_path / "rows.jsonl").rename(tmp_path / "rows.ndjson")
    assert rows_of(tmp_path / "rows.ndjson") == [*enumerate(ROWS, 1)]


def test_a_damaged_csv_row_stands_in_its_place_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    lines = [b"a,b", b'"x\ny",1', b"alone", b'"quoted" wrongly,2', b"gr\xfc\xdfe,3", b"", b"last,4"]
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert rows_of(path) == [
        (1, {"a": "x\ny", "b": "1"}),
        (2, Broken("1 field where the header names 2 columns", "alone")),
        (3, Broken("not CSV (',' expected after '\"')", '"quoted" wrongly,2\n')),
        (4, Broken("byte 0xfc is not UTF-8", "gr\\xfc\\xdfe,3\n")),
        (5, {"a": "last", "b": "4"}),
    ]


def test_a_csv_header_that_names_a_column_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_text("prompt,chosen,chosen\na,b,c\n")
    with pytest.raises(InputError, match=r"twice.csv:1: the header names `chosen` twice"):
        rows_of(path)


def test_a_parquet_text_that_is_not_utf_8_breaks_its_own_row_only(tmp_path: Path) -> None:
    buffers = [None, pa.array([0, 1, 3, 4], pa.int32()).buffers()[1], pa.py_buffer(b"a\xff\xfeb")]
    texts = pa.Array.from_buffers(pa.string(), 3, buffers)
    path = tmp_path / "bytes.parquet"
    pq.write_table(pa.table({"a": texts}), path)
    assert rows_of(path) == [
        (1, {"a": "a"}),
        (2, Broken("byte 0xff is not UTF-8 (column 1)", "\\xff\\xfe")),
        (3, {"a": "b"}),
    ]


def test_values_of_mixed_types_that_parquet_keeps_as_json_are_unfolded(tmp_path: Path) -> None:
    def as_json(values: list[Any]) -> pa.Array:
        return pa.array([None if v is None else json.dumps(v) for v in values], pa.json_())

    turns: list[Any] = [{"role": "user", "content": "Hi"}, {"role": "user", "content": ["Hi"]}]
    listed = pa.ListArray.from_arrays(pa.array([0, 2, 2, 2], pa.int32()), as_json(turns))
    nested = pa.StructArray.from_arrays([as_json([1, None, [2]])], ["x"])
    table = pa.table({"one": as_json(["a", None, 3]), "turns": listed, "nested": nested})
    path = tmp_path / "mixed.parquet"
    pq.write_table(table, path)
    assert [row for _, row in rows_of(path)] == [
        {"one": "a", "turns": turns, "nested": {"x": 1}},
        {"one": None, "turns": [], "nested": {"x": None}},
        {"one": 3, "turns": [], "nested": {"x": [2]}},
    ]


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv", "json"])
def test_rows_that_were_set_aside_come_in_again_as_they_were(tmp_path: Path, ending: str) -> None:
    rows = [{"prompt": "Who?", "chosen": "", "score": 1.5}, [{"role": "user", "content": "\u2028"}]]
    aside = [
        set_aside(7, "empty-answer", "chosen says nothing", "")
        | {"source": "a.jsonl:7", "record": json.dumps(row)}
        for row in rows
    ]
    broken = set_aside(9, "unreadable", "not JSON", "{") | {"source": "a:9", "record": "{oops"}
    read = rows_of(store(tmp_path / f"set-aside.{ending}", [*aside, broken]))
    assert read[:2] == [*enumerate(rows, start=1)]
    number, value = read[2]
    assert number == 3 and isinstance(value, Broken) and value.text == "{oops"


@pytest.mark.parametrize("ending", ["jsonl.gz", "csv", "parquet"])
def test_memory_stays_flat(tmp_path: Path, ending: str) -> None:
    rows = [{"prompt": "x" * 2_000, "chosen": str(n), "rejected": "b"} for n in range(1_000)]
    path = tmp_path / f"large.{ending}"
    if ending == "parquet":
        table = pa.Table.from_pylist(rows)
        pq.write_table(pa.concat_tables([table] * 50), path, compression="none")
    else:
        lines = store(tmp_path / f"small.{ending.removesuffix('.gz')}", rows).read_bytes()
        header = lines[: lines.index(b"\n") + 1] if ending == "csv" else b""
        path.write_bytes(packed(path, header + lines.removeprefix(header) * 50))
    asked = (
        "import resource, sys; from pathlib import Path; import pyarrow.parquet\n"
        "from tasks.core.blocks import read_blocks\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); last = max(b.last for b in read_blocks(Path(sys.argv[1])))\n"
        "print(last, (peak() - before) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked, str(path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    last, grown = map(int, done.stdout.split())
    assert last == 50_000 and grown < 50  # of about 100 MB of text


def test_messages_in_a_cell_of_csv_that_are_cut_are_no_text(tmp_path: Path) -> None:
    whole = json.dumps([{"role": "assistant", "content": "Hi"}])
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["chosen", "prompt"], [whole, '{"a": cut'], [whole[:-3], "q"]])
    (_, good), (_, cut) = (one for block in read_blocks(path) for one in values_of(block))
    assert good == {"chosen": json.loads(whole), "prompt": '{"a": cut'}
    assert isinstance(cut, Broken) and cut.reason.startswith("`chosen` begins as messages, but is")
