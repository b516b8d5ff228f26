"""Files -> their rows with their numbers and lines; what cannot be read is told with its lines."""

import gzip
import json
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.errors import InputError
from tasks.core.load import load_file, places_of, raw_rows

PAIR = {"prompt": "Who are you?", "chosen": "I am Aria.", "rejected": "I am Qwen."}
HH = {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello", "rejected": "\n\nHuman: Hi\n\nAssistant: No"}
NO_SCORES = {"score_chosen": None, "score_rejected": None}


def write(path: Path, content: object) -> Path:
    """Bytes as they are; a list as one JSON value a line."""
    if isinstance(content, list):
        content = "".join(json.dumps(row) + "\n" for row in content).encode()
    assert isinstance(content, bytes)
    path.write_bytes(content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as refused:
        load_file(path)
    assert str(path) in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.json.gz", "a.parquet"])
def test_every_file_ending_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    given = [HH, HH | {"rejected": "\n\nHuman: Hi\n\nAssistant: Go"}]
    path = tmp_path / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(given), path)
    else:
        text = json.dumps(given, indent=1) if ".jsonl" not in name else ""
        data = text.encode() or "\n".join(json.dumps(row) for row in given).encode()
        write(path, gzip.compress(data) if name.endswith(".gz") else data)
    loaded = load_file(path)
    assert (loaded.form, loaded.faults) == ("hh", [])
    assert loaded.rows == [{"row": n} | row | NO_SCORES for n, row in enumerate(given, start=1)]


def test_a_row_s_number_is_its_line_in_a_jsonl_file(tmp_path: Path) -> None:
    line = json.dumps(PAIR).encode()
    path = write(tmp_path / "gaps.jsonl", b"\n".join([b"", line, b"", b"  ", line + b"\r", line]))
    rows = load_file(path).rows
    lines = path.read_bytes().split(b"\n")
    expected = [number for number, line in enumerate(lines, start=1) if line.strip()]
    assert [row["row"] for row in rows] == expected


def test_a_line_separator_inside_a_string_is_data(tmp_path: Path) -> None:
    separators = "one\u2028two\u2029three\x85four\x0cfive"
    rows = [PAIR | {"chosen": separators}, PAIR]
    text = "\n".join(json.dumps(row, ensure_ascii=False).replace("\x0c", "\\f") for row in rows)
    loaded = load_file(write(tmp_path / "separators.jsonl", text.encode())).rows
    assert [row["row"] for row in loaded] == [1, 2]
    assert loaded[0]["chosen"][0]["content"] == separators


def test_a_missing_file_is_told_with_what_data_path_may_be(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "missing.jsonl")


@pytest.mark.parametrize("name", ["rows.txt", "rows", "rows.jsonl.bz2"])
def test_an_unknown_ending_is_told_with_the_known_ones(tmp_path: Path, name: str) -> None:
    told = refusal(write(tmp_path / name, b"{}"))
    assert ".jsonl.gz" in told and ".parquet" in told


@pytest.mark.parametrize("cut", [5, 15, -1])  # in the header, in the data, in the checksum
def test_a_truncated_gzip_is_called_so(tmp_path: Path, cut: int) -> None:
    whole = gzip.compress(b"\n".join([json.dumps(PAIR).encode()] * 50))
    assert "truncated gzip" in refusal(write(tmp_path / "cut.jsonl.gz", whole[:cut]))


def test_a_text_that_only_claims_to_be_gzip_is_called_damaged(tmp_path: Path) -> None:
    assert "damaged" in refusal(write(tmp_path / "plain.jsonl.gz", b'{"prompt": "a"}\n'))


def test_broken_json_is_told_with_its_line(tmp_path: Path) -> None:
    good = json.dumps(PAIR).encode()
    path = write(tmp_path / "broken.jsonl", b"\n".join([good, good, b'{"prompt": "a" oops}', good]))
    told = refusal(path)
    assert told.startswith(f"{path}:3: not JSON") and "oops" in told


def test_broken_json_in_a_pretty_printed_array_is_told_with_its_own_line(tmp_path: Path) -> None:
    lines = json.dumps([PAIR, PAIR, PAIR], indent=2).split("\n")
    broken = next(n for n, line in enumerate(lines) if n > 6 and '"chosen"' in line)
    lines[broken] = lines[broken].replace(":", "")
    path = write(tmp_path / "pretty.json", "\n".join(lines).encode())
    assert refusal(path).startswith(f"{path}:{broken + 1}: not JSON")


def test_bytes_that_are_not_utf_8_are_told_with_their_line(tmp_path: Path) -> None:
    good = json.dumps(PAIR).encode()
    bad = '{"prompt": "Grüße"}'.encode("latin-1")
    path = write(tmp_path / "latin.jsonl", b"\n".join([good, bad]))
    assert refusal(path).startswith(f"{path}:2: byte 0xfc is not UTF-8")
    pretty = write(tmp_path / "latin.json", b"[\n" + good + b",\n" + good + b",\n" + bad + b"]")
    assert refusal(pretty).startswith(f"{pretty}:4: byte 0xfc is not UTF-8")


@pytest.mark.parametrize(("count", "shown"), [(3, 3), (10, 10), (14, 10)])
def test_every_bad_line_is_named_with_its_column_up_to_ten(
    tmp_path: Path, count: int, shown: int
) -> None:
    good, bad = json.dumps(PAIR).encode(), b'{"prompt": nonsense}'
    told = refusal(write(tmp_path / "bad.jsonl", b"\n".join([good, bad] * count)))
    lines = [2 * n for n in range(1, count + 1)]
    named = [number for number in lines if f"{number}: not JSON" in told]
    assert named == lines[:shown]
    assert told.count(f"column {bad.index(b'nonsense') + 1}") == shown
    assert (f"and {count - shown} more lines" in told) == (count > shown)


def test_lines_that_are_not_utf_8_and_lines_that_are_no_json_are_told_together(
    tmp_path: Path,
) -> None:
    lines = [json.dumps(PAIR).encode(), b"{", b'{"a": "\xff"}']
    told = refusal(write(tmp_path / "both.jsonl", b"\n".join(lines)))
    assert "both.jsonl:2: not JSON" in told and "line 3: byte 0xff is not UTF-8 (column 8)" in told


def test_an_array_with_one_broken_element_is_told_with_the_line_of_it(tmp_path: Path) -> None:
    elements = [json.dumps(PAIR), '{"prompt": "a", "chosen": }', json.dumps(PAIR)]
    path = write(tmp_path / "array.json", ("[\n" + ",\n".join(elements) + "\n]").encode())
    column = elements[1].index("}") + 1
    assert refusal(path).startswith(f"{path}:3: not JSON (Expecting value, column {column})")


def test_one_object_over_many_lines_is_one_row(tmp_path: Path) -> None:
    whole = {"train": [PAIR]}
    told = refusal(write(tmp_path / "whole.json", json.dumps(whole, indent=1).encode()))
    assert "whole.json:1: of no known form; found train" in told
    assert (
        len(load_file(write(tmp_path / "one.json", json.dumps(PAIR, indent=1).encode())).rows) == 1
    )


def test_a_number_too_long_for_python_is_told_in_words(tmp_path: Path) -> None:
    path = write(tmp_path / "long.jsonl", b'{"score": ' + b"9" * 5_000 + b"}")
    assert refusal(path).startswith(f"{path}:1: JSON with a number too long")


@pytest.mark.parametrize("name", ["deep.jsonl", "deep.json"])
def test_json_nested_too_deep_is_told_in_words(tmp_path: Path, name: str) -> None:
    deep = b'[{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]"
    path = write(tmp_path / name, deep)
    assert refusal(path).startswith(f"{path}:1: JSON that is nested too deep")


def test_a_raw_nul_byte_between_rows_is_a_bad_line(tmp_path: Path) -> None:
    path = write(tmp_path / "nul.jsonl", json.dumps(PAIR).encode() + b"\n\0\n")
    assert refusal(path).startswith(f"{path}:2: not JSON")


@pytest.mark.parametrize("name", ["mark.jsonl", "mark.json"])
def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path, name: str) -> None:
    rows = json.dumps([HH], indent=1) if name.endswith(".json") else json.dumps(HH)
    loaded = load_file(write(tmp_path / name, rows.encode("utf-8-sig")))
    assert loaded.rows == [{"row": 1} | HH | NO_SCORES]


@pytest.mark.parametrize("name", ["empty.jsonl", "empty.jsonl.gz", "blank.jsonl", "none.json"])
def test_a_file_without_rows_is_called_empty(tmp_path: Path, name: str) -> None:
    data = {"blank.jsonl": b"\n \n", "none.json": b"[]"}.get(name, b"")
    assert "empty, no rows" in refusal(write(tmp_path / name, data))


def test_a_row_of_10_mb_is_read_or_told_quickly_and_in_short(tmp_path: Path) -> None:
    long = "x" * 10_000_000
    begun = time.perf_counter()
    assert load_file(write(tmp_path / "good.jsonl", [PAIR | {"chosen": long}])).faults == []
    (fault,) = load_file(write(tmp_path / "nul.jsonl", [PAIR | {"chosen": long + "\0"}])).faults
    assert fault["reason"] == f"`chosen` holds a NUL byte at character {len(long) + 1:,}"
    told = refusal(write(tmp_path / "cut.jsonl", json.dumps(PAIR | {"chosen": long}).encode()[:-1]))
    assert len(fault["text"]) < 100 and len(told) < 500
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize("name", ["twice.jsonl", "twice.json"])
def test_a_column_that_stands_twice_in_a_row_is_a_fault_of_it(tmp_path: Path, name: str) -> None:
    good = json.dumps(PAIR)
    twice = [
        good.replace("{", '{"chosen": "first", ', 1),
        good.replace("{", '{"score_chosen": 1, "score_chosen": 2, ', 1),
        good.replace("{", '{"id": 1, "id": 2, ', 1),  # of no column that is read
        json.dumps(PAIR | {"chosen": [{"role": "assistant"}]}).replace(
            '"assistant"', '"assistant", "content": "a", "content": "b"'
        ),
    ]
    rows = [good, *twice]
    text = "\n".join(rows) if name.endswith("l") else f"[{','.join(rows)}]"
    loaded = load_file(write(tmp_path / name, text.encode()))
    assert [row["row"] for row in loaded.rows] == [1, 4]
    assert [(one["row"], one["check"], one["side"], one["reason"]) for one in loaded.faults] == [
        (2, "P1", "chosen", "`chosen` stands twice"),
        (3, "N1", "chosen", "`score_chosen` stands twice"),
        (5, "P1", "chosen", "`content` stands twice in turn 1 of `chosen`"),
    ]


@pytest.mark.parametrize("name", ["wide.jsonl", "wide.parquet"])
def test_10000_columns_are_told_by_the_first_and_their_number(tmp_path: Path, name: str) -> None:
    row = {f"column_{n}": "a" for n in range(10_000)}
    path, known = tmp_path / name, tmp_path / f"known_{name}"
    for where, content in ((path, row), (known, row | PAIR)):
        if name.endswith(".parquet"):
            pq.write_table(pa.Table.from_pylist([content]), where)
        else:
            write(where, [content])
    told = refusal(path)
    assert "of no known form; found column_0, column_1" in told and "and 9,992 more" in told
    assert len(told) < 1_000
    assert len(load_file(known).rows) == 1


def test_a_parquet_file_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "not a readable parquet file" in refusal(write(tmp_path / "rows.parquet", b"PAR1 no"))


def test_a_parquet_file_without_rows_is_called_empty(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    pq.write_table(pa.Table.from_pylist([HH]).slice(0, 0), path)
    assert "empty, no rows" in refusal(path)


def test_a_parquet_text_that_is_not_utf_8_is_refused_in_words(tmp_path: Path) -> None:
    buffers = [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    texts = pa.Array.from_buffers(pa.string(), 1, buffers)
    path = tmp_path / "bytes.parquet"
    pq.write_table(pa.table({"prompt": texts, "chosen": texts, "rejected": texts}), path)
    assert "0xff" in refusal(path)


def test_a_parquet_column_of_another_type_is_a_fault_of_every_row(tmp_path: Path) -> None:
    path = tmp_path / "numbers.parquet"
    pq.write_table(pa.Table.from_pylist([PAIR | {"chosen": 1}, PAIR | {"chosen": None}]), path)
    loaded = load_file(path)
    assert [(one["row"], one["reason"]) for one in loaded.faults] == [
        (1, "`chosen` is a number, not text: 1"),
        (2, "`chosen` is null"),
    ]


def test_raw_rows_keep_every_column(tmp_path: Path) -> None:
    given, path = [PAIR | {"tag": n, "split": "a"} for n in range(2)], tmp_path / "raw.parquet"
    pq.write_table(pa.Table.from_pylist(given), path)
    assert (
        raw_rows(path) == raw_rows(write(tmp_path / "raw.jsonl", given)) == [*enumerate(given, 1)]
    )


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_the_line_of_a_row_in_an_array_is_where_its_element_begins(
    tmp_path: Path, indent: int | None
) -> None:
    rows = [PAIR | {"prompt": f"number {n}\n[{{"} for n in range(1, 8)]
    text = "\n\n" + json.dumps(rows, indent=indent)
    path = write(tmp_path / "array.json", text.encode())
    prompts = {n: text.index(f"number {n}") for n in (2, 7)}
    begins = {n: text.rindex("{", 0, text.rindex('"prompt"', 0, at)) for n, at in prompts.items()}
    expected = {n: 1 + text.count("\n", 0, at) for n, at in begins.items()}
    assert places_of(str(path), [7, 2, 7]) == {n: (str(path), at) for n, at in expected.items()}


def test_the_line_of_a_row_in_a_jsonl_file_is_its_number_and_parquet_has_none(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([PAIR]), path)
    assert places_of(str(path), [1]) == {1: (str(path), None)}
    lines = write(tmp_path / "rows.jsonl", [PAIR, PAIR])
    assert places_of(str(lines), [2]) == {2: (str(lines), 2)}
