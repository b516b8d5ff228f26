"""tasks.core.rewrite: the quick way and the slow one give the same, and every row is somewhere.

A long file, for every line that the two ways might read differently stands here.
"""

import gzip
import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core import rewrite as quick
from tasks.core.aside import set_aside
from tasks.core.blocks import Broken, read_blocks, values_of
from tasks.core.errors import InputError
from tasks.core.forms import reader
from tasks.core.reformat import How, aside_of_faults, rewrite_row
from tasks.core.rewrite import rewrite
from tasks.core.settings import Reformat
from tasks.core.transcripts import SPACES, plain_pairs

HOW = How.of(Reformat())
FILLED = replace(HOW, placeholders={"name": "Aria"})
HH_FILES = ("hh-harmless-base-test.jsonl.gz", "hh-helpful-base-test.jsonl.gz")
Rows = list[dict[str, Any]]


def hh(chosen: str, rejected: str, prompt: str = "\n\nHuman: Hi there.\n\nAssistant:") -> dict:
    return {"chosen": prompt + chosen, "rejected": prompt + rejected}


PLAIN = hh(" Good morning.", " Go away.")


def slowly(files: list[Path], how: How) -> tuple[Rows, Rows]:
    """Every row alone, as tasks.core.reformat rewrites it."""
    read = reader(rows_of(files[0]), "pairs", None)
    rows: Rows = []
    aside: Rows = []
    before = 0
    for path in files:
        for number, value in rows_of(path):
            if isinstance(value, Broken):
                out = [], [set_aside(before + number, "unreadable", value.reason, value.text)]
            else:
                form, row, faults = read.read(value)
                if faults:
                    out = [], [aside_of_faults(before + number, faults)]
                else:
                    out = rewrite_row(form, row | {"row": before + number}, how)
            rows += out[0]
            aside += [one | {"source": f"{path.name}:{number}"} for one in out[1]]
        before += [block.last for block in read_blocks(path)][-1]
    return rows, aside


def rows_of(path: Path) -> Iterator[tuple[int, Any]]:
    return ((n, value) for block in read_blocks(path) for n, value in values_of(block))


def rewritten(
    files: list[Path], folder: Path, how: How = HOW, **more: Any
) -> tuple[Rows, Rows, dict[str, Any]]:
    read = reader(rows_of(files[0]), "pairs", None)
    named = [(path.name, path) for path in files]
    count = quick.rewrite(named, read, how, folder, **more)
    rows, aside = (
        pq.read_table(folder / f"{name}.parquet").to_pylist() for name in ("rows", "set_aside")
    )
    assert count["read"] == count["kept"] + count["set_aside"]
    assert (len(rows), len(aside)) == (count["rows"], count["set_aside"])
    return rows, aside, count


def assert_same(files: list[Path], folder: Path, how: How = HOW) -> None:
    expected, expected_aside = slowly(files, how)
    rows, aside, _ = rewritten(files, folder, how)
    assert rows == [{key: one[key] for key in rows[0]} for one in expected]
    assert aside == expected_aside


def write_lines(path: Path, rows: Iterable[Any]) -> Path:
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def write_table(path: Path, rows: Rows, type_: pa.DataType | None = None) -> Path:
    names = ("chosen", "rejected")
    arrays = [pa.array([row[side] for row in rows], type_ or pa.string()) for side in names]
    pq.write_table(pa.table(arrays, names=names), path)
    return path


def hh_rows(real_data: Path) -> Rows:
    return [
        json.loads(line) for name in HH_FILES for line in gzip.open(real_data / name, "rt", "utf-8")
    ]


@pytest.mark.parametrize("name", HH_FILES)
def test_published_transcripts_come_out_as_they_do_one_by_one(
    real_data: Path, tmp_path: Path, name: str
) -> None:
    assert_same([real_data / name], tmp_path)


def test_nearly_all_published_transcripts_go_the_quick_way(real_data: Path) -> None:
    rows = hh_rows(real_data)
    plain = plain_pairs(*(pa.array([row[side] for row in rows]) for side in ("chosen", "rejected")))
    assert plain.rows.mean() > 0.97
    assert len(plain.prompt) == len(plain.chosen) == len(plain.rejected) == plain.rows.sum()


PIECES = (
    "\n\nHuman:",
    "\n\nAssistant:",
    "\n\nHuman: a\n\nAssistant: b",
    "\nHuman: ",
    "Assistant:",
    "\n\n",
    "   ",
    " " * 100,
    "\0",
    "{{name}}",
    "<NAME>",
    "{",
    "<",
    "é",
    "千问",
    *SPACES,
)


def changed(rows: Rows, seed: int) -> Rows:
    """The rows, each with a piece put in or a part cut out, on one side or at one place of both."""
    chance = random.Random(seed)
    made: Rows = []
    for row in rows:
        text = row["chosen"]
        edges = [met.end() for met in re.finditer(":|\n\n", text)] + [0, len(text)]
        at = chance.choice([*edges, chance.randrange(len(text))])
        cut = chance.choice((0, 0, 1, 30))
        piece = chance.choice(PIECES) * chance.choice((1, 1, 2))
        sides = chance.choice((("chosen",), ("rejected",), ("chosen", "rejected")))
        made.append(row | {side: row[side][:at] + piece + row[side][at + cut :] for side in sides})
    return made


@pytest.mark.parametrize("how", [HOW, FILLED, replace(HOW, system="replace")])
def test_transcripts_with_anything_put_in_come_out_as_they_do_one_by_one(
    real_data: Path, tmp_path: Path, how: How
) -> None:
    rows = changed(hh_rows(real_data), seed=0)
    assert_same([write_lines(tmp_path / "odd.jsonl", rows)], tmp_path, how)


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string()])
def test_a_table_of_transcripts_comes_out_as_its_lines_do(
    real_data: Path, tmp_path: Path, type_: pa.DataType
) -> None:
    rows = changed(hh_rows(real_data)[:1500], seed=1)
    assert_same([write_table(tmp_path / "odd.parquet", rows, type_)], tmp_path)


ODD_LINES = {
    "half a character": b'{"chosen": "\\ud83d", "rejected": "b"}',
    "the other half": b'{"chosen": "\\ude00", "rejected": "b"}',
    "both halves": rb'{"chosen": "\n\nHuman: \ud83d\ude00\n\nAssistant: a", '
    rb'"rejected": "\n\nHuman: \ud83d\ude00\n\nAssistant: b"}',
    "not UTF-8": b'{"chosen": "\xff", "rejected": "b"}',
    "not UTF-8 where nobody looks": json.dumps(PLAIN)[:-1].encode() + b', "x": "\xff"}',
    "a column twice": json.dumps(PLAIN)[:-1].encode() + b', "chosen": "other"}',
    "a number": b'{"chosen": 1, "rejected": "b"}',
    "null": {"chosen": None, "rejected": PLAIN["rejected"]},
    "a column missing": {"chosen": PLAIN["chosen"]},
    "no JSON": b'{"chosen": "a", "rejected": "b"',
    "two objects": (json.dumps(PLAIN) * 2).encode(),
    "one object on two lines": json.dumps(PLAIN).replace(', "rej', ',\n"rej').encode(),
    "two objects, and one on two lines": (json.dumps(PLAIN) * 2).encode()
    + b"\n"
    + json.dumps(PLAIN).replace(', "rej', ',\n"rej').encode(),
    "two objects, and one on two lines within": (json.dumps(PLAIN) * 2).encode()
    + b'\n{"x":\n'
    + json.dumps(PLAIN).encode()
    + b"}",
    "a list": b"[1, 2]",
    "an object on two lines within": b'{"x":\n' + json.dumps(PLAIN).encode() + b"}",
    "blank lines": b" \n\n\t\n",
    "CRLF": json.dumps(PLAIN).encode() + b"\r",
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(PLAIN).encode(),
    "U+2028": json.dumps(hh(" a\u2028b", " c"), ensure_ascii=False).encode(),
    "a raw tab": json.dumps(PLAIN).replace("Good ", "Good\t").encode(),
    "another column": PLAIN | {"id": 7},
    "a column of another kind in each row": PLAIN | {"id": "seven"},
    "a score": PLAIN | {"score_chosen": 1.0, "score_rejected": 2.0},
    "a score that is none": PLAIN | {"score_chosen": "good"},
    "equal scores": PLAIN | {"score_chosen": 1, "score_rejected": 1},
    "a prompt": PLAIN | {"prompt": "Hi."},
    "a number that nobody writes": json.dumps(PLAIN)[:-1].encode()
    + b', "x": '
    + b"9" * 5000
    + b"}",
    "infinity": json.dumps(PLAIN)[:-1].encode() + b', "x": Inf}',
    "a set-aside row": {
        "row": 1,
        "code": "",
        "reason": "",
        "text": "",
        "record": json.dumps(PLAIN),
    },
    "a set-aside row with answers": PLAIN
    | dict.fromkeys(("code", "reason", "text"), "")
    | {"row": 1, "record": json.dumps(hh(" a", " b"))},
    "nothing": {"chosen": "", "rejected": ""},
    "the same": hh(" a", " a "),
    "an empty answer": hh(" a", " "),
    "a word before": hh(" a", " b", "x\n\nHuman: c\n\nAssistant:"),
    "a space before": hh(" a", " b", " \n\nHuman: c\n\nAssistant:"),
    "three line breaks": hh(" a", " b", "\n\n\nHuman: c\n\n\n\nAssistant:"),
    "the assistant first": hh(" a", " b", "\n\nAssistant: c\n\nHuman: d\n\nAssistant:"),
    "an escaped column": json.dumps(PLAIN).replace("chosen", r"cho\u0073en", 1).encode(),
}


@pytest.mark.parametrize("odd", ODD_LINES.values(), ids=ODD_LINES)
def test_one_odd_line_among_many_comes_out_as_it_does_alone(
    tmp_path: Path, odd: dict[str, Any] | bytes
) -> None:
    many = [PLAIN | {"chosen": PLAIN["chosen"] + str(n)} for n in range(100)]
    files = [
        write_lines(tmp_path / "middle.jsonl", [*many[:70], odd, *many[70:]]),
        write_lines(tmp_path / "first.jsonl", [odd, *many[:2]]),
        write_lines(tmp_path / "last.jsonl", [*many[:2], odd]),
        write_lines(tmp_path / "alone.jsonl", [odd]),
    ]
    assert_same(files, tmp_path)


def test_a_text_of_a_table_that_is_not_utf8_is_set_aside_alone(tmp_path: Path) -> None:
    texts = [PLAIN["chosen"].encode(), b"\n\nHuman: Hi there.\n\nAssistant: \xff"]
    offsets = pa.py_buffer(
        pa.array([0, len(texts[0]), sum(map(len, texts))], pa.int32()).buffers()[1]
    )
    chosen = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"".join(texts)))
    table = pa.table({"chosen": chosen, "rejected": [PLAIN["rejected"]] * 2})
    pq.write_table(table, tmp_path / "odd.parquet")
    rows, aside, _ = rewritten([tmp_path / "odd.parquet"], tmp_path)
    assert [row["row"] for row in rows] == [1]
    assert [(row["row"], row["code"]) for row in aside] == [(2, "unreadable")]


def test_no_transcript_at_all_leaves_nothing_but_rows_set_aside(tmp_path: Path) -> None:
    files = [
        write_lines(tmp_path / "one.jsonl", [PLAIN]),
        write_lines(tmp_path / "none.jsonl", [{"chosen": "a", "rejected": "b"}] * 3),
    ]
    rows, aside, count = rewritten(files, tmp_path)
    assert [row["row"] for row in rows] == [1]
    assert [row["source"] for row in aside] == ["none.jsonl:1", "none.jsonl:2", "none.jsonl:3"]
    assert count["reasons"] == {"turn-order": 3}


def test_rows_of_a_further_file_are_numbered_on_from_the_last_line_before(tmp_path: Path) -> None:
    lines = [json.dumps(PLAIN).encode(), b"", b"no JSON", json.dumps(PLAIN).encode()]
    first = write_lines(tmp_path / "a.jsonl", lines)
    second = tmp_path / "b.jsonl.gz"
    second.write_bytes(gzip.compress(first.read_bytes()))
    rows, aside, count = rewritten([first, second], tmp_path)
    assert [row["row"] for row in rows] == [1, 4, 5, 8]
    assert [(row["row"], row["source"]) for row in aside] == [(3, "a.jsonl:3"), (7, "b.jsonl.gz:3")]
    assert count == {
        "read": 6,
        "kept": 4,
        "rows": 4,
        "set_aside": 2,
        "reasons": {"unreadable": 2},
        "placeholders": {},
    }


@pytest.mark.parametrize("most", [1, 99, 100, 101, 199, 200, 1000])
def test_no_more_rows_are_read_than_asked_for(tmp_path: Path, most: int) -> None:
    many = [PLAIN] * 99 + [hh(" a", " a")]
    files = [write_lines(tmp_path / f"{name}.jsonl", many) for name in "ab"]
    rows, aside, count = rewritten(files, tmp_path, max_rows=most)
    read = min(most, 200)
    assert count["read"] == read
    assert len(aside) == read // 100
    assert [row["row"] for row in rows] == [n for n in range(1, read + 1) if n % 100]


def test_scores_come_along_as_numbers_or_nothing_whichever_way_a_row_goes(tmp_path: Path) -> None:
    scored = PLAIN | {"score_chosen": 1, "score_rejected": "2.5"}  # the checks tell the wrong way
    pair: dict[str, Any] = {
        "prompt": "Q",
        "chosen": "A",
        "rejected": "B",
        "score_chosen": 2,
        "score_rejected": 1,
    }
    cases: Any = [("hh-rlhf", [PLAIN, scored]), ("hh-rlhf", [PLAIN]), ("preference", [pair])]
    for name, rows in cases:
        file = write_lines(tmp_path / "rows.jsonl", rows)
        told = reader([], "rows", name)
        quick.rewrite([(file.name, file)], told, HOW, tmp_path)
        table = pq.read_table(tmp_path / "rows.parquet")
        scores = table.select(["score_chosen", "score_rejected"])
        assert set(scores.schema.types) == {pa.float64()} and len(table) == len(rows)
        expected = [(r.get("score_chosen"), r.get("score_rejected")) for r in rows]
        assert [(*one.values(),) for one in scores.to_pylist()] == [
            tuple(s if s is None else float(s) for s in both) for both in expected
        ]


def test_nothing_is_read_beyond_the_rows_asked_for(tmp_path: Path) -> None:
    files = [write_lines(tmp_path / f"{name}.jsonl", [PLAIN] * 3) for name in "abc"]
    files.append(tmp_path / "damaged.jsonl.gz")
    files[-1].write_bytes(b"no gzip")
    assert rewritten(files, tmp_path, max_rows=2)[2]["read"] == 2
    with pytest.raises(InputError, match="damaged"):
        rewritten(files, tmp_path)


def test_a_conversation_that_gives_several_prompts_counts_once(tmp_path: Path) -> None:
    said = [
        {"role": role, "content": f"{role} {n}"}
        for n in (1, 2, 3)
        for role in ("user", "assistant")
    ]
    lines = [{"messages": said}, {"messages": said[1:2]}, {"messages": said[:2]}]
    file = write_lines(tmp_path / "talks.jsonl", lines)
    rows, aside, count = rewritten([file], tmp_path, replace(HOW, turns="every"))
    assert (count["read"], count["kept"], count["rows"]) == (3, 2, 4)
    assert [list(row) for row in rows] == [["row", "prompt"]] * 4
    assert [row["row"] for row in rows] == [1, 1, 1, 3]
    assert [row["row"] for row in aside] == [2]


def test_what_is_left_of_placeholders_is_counted_by_name(tmp_path: Path) -> None:
    rows = [PLAIN, hh(" I am {{NAME}}.", " I am <AUTHOR>."), hh(" I am {{ name }}.", " {")]
    file = write_lines(tmp_path / "blanks.jsonl", rows)
    assert rewritten([file], tmp_path)[2]["placeholders"] == {"name": 2, "author": 1}
    assert rewritten([file], tmp_path, FILLED)[2]["placeholders"] == {"author": 1}


def test_a_part_of_an_array_is_read_as_the_whole_of_it_is() -> None:
    """The bytes before and after the part belong to other rows."""
    rows = [PLAIN, hh(" a", " b"), PLAIN, hh(" c", " d"), PLAIN]
    chosen, rejected = (pa.array([row[side] for row in rows]) for side in ("chosen", "rejected"))
    part = plain_pairs(chosen.slice(1, 3), rejected.slice(1, 3))
    assert part.rows.tolist() == [True] * 3
    said = [side.to_pylist() for side in (part.chosen, part.rejected)]
    assert [[turns[0]["content"] for turns in side] for side in said] == [
        ["a", "Good morning.", "c"],
        ["b", "Go away.", "d"],
    ]


def test_of_pairs_whose_answers_are_made_anew_only_the_prompts_are_looked_at(
    tmp_path: Path,
) -> None:
    """Equal, empty and tied answers are no reason to ask nothing."""
    answers = [("a", "a"), ("", "b"), ("a", "b"), ("Human: a", "b")]
    rows = [
        {"prompt": f"Q {n}?", "chosen": chosen, "rejected": rejected}
        for n, (chosen, rejected) in enumerate(answers)
    ]
    rows += [{"prompt": " ", "chosen": "a", "rejected": "b"}]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    read = reader(list(enumerate(rows, start=1)), path.name)
    how = How.of(Reformat(), prompts_only=True)
    facts = rewrite([(path.name, path)], read, how, tmp_path)
    assert (facts["read"], facts["kept"], facts["reasons"]) == (5, 4, {"no-prompt": 1})
    kept = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert [row["prompt"][-1]["content"] for row in kept] == [f"Q {n}?" for n in range(4)]
    assert set(kept[0]) == {"row", "prompt"}


def test_the_prompts_of_real_transcripts_are_those_of_their_pairs(
    real_data: Path, tmp_path: Path
) -> None:
    path = real_data / "hh-harmless-base-test.jsonl.gz"
    sample = list(islice(values_of(next(read_blocks(path))), 1_000))
    read = reader(sample, path.name)
    for name, alone in (("pairs", False), ("prompts", True)):
        (tmp_path / name).mkdir()
        how = How.of(Reformat(), prompts_only=alone)
        rewrite([(path.name, path)], read, how, tmp_path / name)
    pairs = pq.read_table(tmp_path / "pairs" / "rows.parquet", columns=["row", "prompt"])
    prompts = pq.read_table(tmp_path / "prompts" / "rows.parquet").to_pylist()
    by_row = {row["row"]: row["prompt"] for row in prompts}
    assert len(prompts) > len(pairs)  # those that were set aside for their answers
    assert all(by_row[row["row"]] == row["prompt"] for row in pairs.to_pylist())
