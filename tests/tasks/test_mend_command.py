"""`pairpress mend` as a person calls it: what it takes away, what it leaves, and what it says."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from ground import pairpress
from pair_files import natural, written

from tasks.core.errors import InputError
from tasks.core.load import load_file
from tasks.core.mend import mend, mend_in_words, sentences


def test_mend_applies_each_safe_remedy_and_says_what_it_did(tmp_path):
    rows = natural(12)
    rows[0]["chosen"] = f"  {rows[0]['chosen']}\n"
    rows[1]["rejected"] = rows[1]["chosen"]
    rows[2]["chosen"] = " "
    rows[4] = rows[3] | {"chosen": rows[3]["rejected"], "rejected": rows[3]["chosen"]}
    rows[6] = dict(rows[5])
    test = written(tmp_path / "test.jsonl", [natural(1, seed=5)[0] | {"prompt": rows[7]["prompt"]}])
    source, out = written(tmp_path / "raw.jsonl", rows), tmp_path / "mended.jsonl"
    done = pairpress("mend", source, "--out", str(out), "--against", test)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "stripped outer white space of answers: 2 rows (1, 3)",
        "dropped, an answer or a prompt says nothing: 1 row (3)",
        "dropped, chosen equals rejected: 1 row (2)",
        "dropped, another row prefers the opposite: 2 rows (4, 5)",
        "dropped, the same pair stands in an earlier row: 1 row (7)",
        "dropped, its prompt stands in the test file: 1 row (8)",
        "6 of 12 rows written",
    ]
    kept = [json.loads(line) for line in out.read_text().splitlines()]
    expected = [rows[0] | {"chosen": rows[0]["chosen"].strip()}, rows[5], *rows[8:]]
    assert kept == expected


def test_a_prompt_that_differs_in_outer_white_space_is_the_same_to_check_and_mend(tmp_path):
    rows = natural(6)
    rows[3] = rows[2] | {"prompt": rows[2]["prompt"] + " "}
    path = written(tmp_path / "raw.jsonl", rows)
    done = pairpress("mend", path, "--out", str(tmp_path / "out.jsonl"))
    assert "the same pair stands in an earlier row: 1 row (4)" in done.stdout


def test_a_mended_file_is_mended(tmp_path, real_data):
    out = tmp_path / "helpful.jsonl.gz"
    source = str(real_data / "hh-helpful-base-test.jsonl.gz")
    assert pairpress("mend", source, "--out", str(out)).returncode == 0
    told = json.loads(pairpress("check", str(out), "--format", "json").stdout)
    assert "P2" not in {one["check"] for one in told["checks"] if not one["passed"]}
    again = pairpress("mend", str(out), "--out", str(tmp_path / "again.jsonl.gz"))
    assert "stripped outer white space of answers: 0 rows" in again.stdout
    assert out.read_bytes() == (tmp_path / "again.jsonl.gz").read_bytes()


def test_mend_refuses_what_it_cannot_do(tmp_path):
    path = written(tmp_path / "raw.jsonl", natural(3))
    for out, told in (
        (path, "is a file that is read"),
        (f"{path}.txt", "of no known kind"),
        (f"{path}.csv", "CSV is read, not written"),
    ):
        done = pairpress("mend", path, "--out", out)
        assert done.returncode == 2 and told in done.stderr


def mended(path, rows, *more):
    """What `mend` printed, and the lines that it wrote, of rows as text or as objects."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines))
    out = path.with_name("mended.jsonl")
    done = sentences(mend(str(path), out, *more or (None,)))
    return done, out.read_text().splitlines()


def test_only_a_row_that_really_says_nothing_is_dropped_for_it(tmp_path):
    good = natural(12)
    odd = [
        {"score_chosen": "one"},
        {"chosen": "a\0b"},
        {"rejected": "cut \ud83d"},
        {"prompt": "cut \ud83d"},
        {"chosen_rating": True},
    ]
    nothing = [{"chosen": None}, {"rejected": " \n"}, {"chosen": True}, {"prompt": ""}]
    nothing += [{"rejected": []}, {"prompt": None}]
    rows = [row | change for row, change in zip(good, [{}, *odd, *nothing], strict=True)]
    told, lines = mended(tmp_path / "raw.jsonl", rows)
    assert lines == [json.dumps(row) for row in rows[: 1 + len(odd)]]
    assert "dropped, an answer or a prompt says nothing: 6 rows (7, 8, 9, 10, 11, 12)" in told
    left = [line for line in told if line.startswith("left as it is, ")]
    assert left == [
        "left as it is, `score_chosen` is text, not a number: 1 row (2)",
        "left as it is, `chosen` holds a NUL byte: 1 row (3)",
        *(
            f"left as it is, `{side}` holds half a character (\\ud83d, a surrogate without its "
            f"other half): 1 row ({row})"
            for side, row in (("rejected", 4), ("prompt", 5))
        ),
        "left as it is, `chosen_rating` is a boolean, not a number: 1 row (6)",
    ]


def test_a_reason_is_said_once_however_its_values_differ(tmp_path):
    rows = [row | {"score_chosen": f"{n} of 20"} for n, row in enumerate(natural(20))]
    told, lines = mended(tmp_path / "raw.jsonl", rows)
    assert len(lines) == 20
    assert [line.partition(" (")[0] for line in told if "left" in line] == [
        "left as it is, `score_chosen` is text, not a number: 20 rows"
    ]


def test_rows_without_an_answer_are_no_equal_nor_repeated_pairs(tmp_path):
    turn = [{"role": "user", "content": "no answer"}]
    rows = [row | {"prompt": "a", "chosen": turn, "rejected": turn} for row in natural(3)]
    told, lines = mended(tmp_path / "raw.jsonl", [*rows, natural(1)[0]])
    assert len(lines) == 4 and "4 of 4 rows written" in told


def test_every_prompt_of_the_test_file_counts_that_can_be_read_and_no_other(tmp_path):
    rows = natural(4)
    rows[3]["prompt"] = 5
    test = [rows[1] | {"chosen": True}, {"prompt": None, "chosen": "a", "rejected": "b"}]
    told, lines = mended(tmp_path / "raw.jsonl", rows, written(tmp_path / "test.jsonl", test))
    assert lines == [json.dumps(rows[0]), json.dumps(rows[2])]
    assert "dropped, its prompt stands in the test file: 1 row (2)" in told


def test_a_row_that_was_not_changed_keeps_every_byte(tmp_path):
    odd = '{"prompt":"a",  "chosen": "b", "rejected":"c\\u00e9", "id": 1e400, "f": 1.10, "f": NaN}'
    twice = '{"prompt": "d", "chosen": " e", "chosen": "f", "rejected": "g"}'
    path, out = tmp_path / "raw.jsonl", tmp_path / "mended.jsonl"
    text = f"\ufeff{odd}\r\n\r\n{twice}\r\n  {json.dumps(natural(1)[0])} \r\n"
    path.write_bytes(text.encode())
    assert mend(str(path), out, None).kept == 3
    assert out.read_bytes() == text.replace("\ufeff", "").replace("\r\n\r\n", "\r\n").encode()


def test_a_row_that_was_changed_keeps_the_way_it_was_written(tmp_path):
    half = '{"prompt": "\\ud83d\\ude00 \\ud83d", "chosen": " b", "rejected": "c"}'
    rows = ['{"prompt": "\\u00e9", "chosen": "b ", "rejected": "c"}', half]
    rows += ['{"prompt": "é", "chosen": "b ", "rejected": "c"}']
    _, lines = mended(tmp_path / "raw.jsonl", rows)
    assert lines == [row.replace('" b"', '"b"').replace('"b "', '"b"') for row in rows[:2]]
    assert load_file(str(tmp_path / "mended.jsonl")).faults[0]["row"] == 2


@pytest.mark.parametrize("number", ["1e400", "NaN", "-Infinity"])
def test_a_changed_row_with_a_number_that_json_lacks_is_refused_with_its_row(tmp_path, number):
    row = json.dumps(natural(1)[0] | {"chosen": "b ", "id": 0}).replace(
        '"id": 0', f'"id": {number}'
    )
    with pytest.raises(InputError, match=r"raw\.jsonl:2: cannot be written again"):
        mended(tmp_path / "raw.jsonl", [natural(2)[1], row])
    assert [path.name for path in tmp_path.iterdir()] == ["raw.jsonl"]


@pytest.mark.parametrize("indent", [None, 1, 4, "\t"])
@pytest.mark.parametrize("ending", ["json", "json.gz"])
def test_an_array_keeps_its_indentation(tmp_path, indent, ending):
    rows = [row | {"tags": [n, {"a": []}]} for n, row in enumerate(natural(6))]
    rows[2]["chosen"] = rows[2]["rejected"]
    rows[3]["chosen"] += " "
    path, out = tmp_path / f"raw.{ending}", tmp_path / f"mended.{ending}"
    pack, unpack = (gzip.compress, gzip.decompress) if "gz" in ending else (bytes, bytes)
    path.write_bytes(pack(json.dumps(rows, indent=indent).encode()))
    mend(str(path), out, None)
    kept = [row | {"chosen": row["chosen"].strip()} for row in rows if row is not rows[2]]
    assert unpack(out.read_bytes()).decode() == json.dumps(kept, indent=indent)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("a.json", "b.jsonl"),
        ("a.jsonl", "b.json"),
        ("one.json", "b.jsonl"),
        ("lines.json", "b.json"),
    ],
)
def test_an_array_and_lines_become_each_other(tmp_path, source, target):
    rows = natural(1 if source == "one.json" else 5)
    rows[-1]["chosen"] += "\n"
    path, out = tmp_path / source, tmp_path / target
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    array = {"one.json": json.dumps(rows[0], indent=2), "a.json": json.dumps(rows, indent=2)}
    path.write_text(array.get(source, text))
    mend(str(path), out, None)
    rows[-1]["chosen"] = rows[-1]["chosen"].strip()
    if target == "b.jsonl":
        assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    loaded = load_file(str(out))
    assert [row["chosen"][0]["content"] for row in loaded.rows] == [row["chosen"] for row in rows]


def test_a_file_of_which_nothing_is_left_is_not_written(tmp_path):
    rows = [row | {"rejected": row["chosen"]} for row in natural(3)]
    path, out = written(tmp_path / "raw.jsonl", rows), tmp_path / "mended.jsonl"
    done = pairpress("mend", path, "--out", str(out))
    assert done.returncode == 2 and not out.exists()
    assert (
        "nothing is left, nothing written. Dropped, chosen equals rejected: 3 rows (1, 2, 3)"
        in (done.stderr)
    )


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_place_that_cannot_be_written_is_told_and_nothing_stays_behind(tmp_path, ending):
    path = tmp_path / f"raw.{ending}"
    if ending == "parquet":
        pl.DataFrame(natural(3)).write_parquet(path)
    else:
        written(path, natural(3))
    (tmp_path / f"folder.{ending}").mkdir()
    for out, told in (
        (tmp_path / f"folder.{ending}", "is a folder"),
        (tmp_path / f"{'x' * 300}.{ending}", "no name for a file"),
        (tmp_path / f"{'x' * 245}.{ending}", "cannot be written"),  # with .part it is too long
        (Path(f"/proc/pairs.{ending}"), "cannot be written (No such file or directory)"),
    ):
        with pytest.raises(InputError) as refused:
            mend(str(path), out, None)
        assert told in str(refused.value) and ".part" not in str(refused.value)
    assert {one.name for one in tmp_path.iterdir()} == {path.name, f"folder.{ending}"}


def test_mend_reads_local_files_only(tmp_path):
    path = written(tmp_path / "raw.jsonl", natural(3))
    for source, against in (("owner/name", None), (path, "owner/name")):
        with pytest.raises(InputError) as refused:
            mend(source, tmp_path / "mended.jsonl", against)
        assert str(refused.value).startswith("owner/name: no such file. `mend` reads")
    with pytest.raises(InputError, match="is a file that is read"):
        mend(path, tmp_path / "test.jsonl", written(tmp_path / "test.jsonl", natural(3, seed=1)))


def set_aside_file(path, records):
    """A run's set-aside.parquet of (row, code, record)."""
    rows = [
        {"row": row, "code": code, "reason": "", "text": "", "record": text, "used": code == "used"}
        for row, code, text in records
    ]
    pl.DataFrame(rows).write_parquet(path)
    return str(path)


def test_rows_that_a_run_set_aside_become_lines_that_a_person_can_mend(tmp_path):
    empty = natural(1)[0] | {"chosen": " ", "note": "1e400 \u2028"}
    records = [
        (2, "empty-answer", json.dumps(empty, ensure_ascii=False)),
        (5, "unreadable", '{"prompt": oops}\r'),
        (7, "damaged", json.dumps(natural(2)[1], indent=2)),
        (7, "too-long", json.dumps(natural(2)[1], indent=2)),
        (8, "used", "{}"),
        (9, "unreadable", '"quoted" wrongly,2\n'),
    ]
    source, out = set_aside_file(tmp_path / "set-aside.parquet", records), tmp_path / "again.jsonl"
    done = pairpress("mend", source, "--out", str(out))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "set aside, unreadable: 2 rows (2, 4)",
        "set aside, empty-answer: 1 row (1)",
        "set aside, damaged: 1 row (3)",
        "4 rows written as the source has them, none changed or dropped: "
        f"mend them in {out} and feed that file in",
    ]
    first, oops, third, wrong = out.read_text().removesuffix("\n").split("\n")
    assert first == records[0][2] and json.loads(third) == natural(2)[1]
    assert (oops, wrong) == ('{"prompt": oops}', '"quoted" wrongly,2')
    again = [empty | {"chosen": "now it says something"}, natural(2)[1]]
    loaded = load_file(written(tmp_path / "mended.jsonl", again))
    assert len(loaded.rows) == 2


def test_rows_set_aside_become_text_and_are_judged_by_no_test_file(tmp_path):
    source = set_aside_file(tmp_path / "set-aside.parquet", [(1, "damaged", "{}")])
    test = written(tmp_path / "test.jsonl", natural(3))
    for out, against, said in (
        (tmp_path / "again.parquet", None, "become lines of text"),
        (tmp_path / "again.json", None, r"Name a .jsonl file"),
        (tmp_path / "again.jsonl", test, "--against .*give it when you mend what is written"),
        (tmp_path / "none" / "again.jsonl", None, "no such folder"),
        (Path(source), None, "is a file that is read"),
    ):
        with pytest.raises(InputError, match=said):
            mend_in_words(source, out, against)
    nothing = set_aside_file(tmp_path / "whole.parquet", [(1, "damaged", "{}")])
    pl.read_parquet(nothing).clear().write_parquet(nothing)
    with pytest.raises(InputError, match="no whole row was set aside"):
        mend_in_words(nothing, tmp_path / "again.jsonl", None)
