"""Rows with faults -> pairs for the checks: what can be read of a damaged row is kept."""

from typing import Any

import polars as pl
import pytest

from expectations.measures.pairs import Pairs
from expectations.measures.splits import PromptInOneSplit
from tasks.core.as_pairs import as_pairs
from tasks.core.fields import Message, Row
from tasks.core.forms import checked
from tasks.core.frame import pairs_frame


def turns(*contents: str, first: str = "user") -> list[Message]:
    """Contents as turns of user and assistant in turn."""
    roles = ["user", "assistant"] if first == "user" else ["assistant", "user"]
    return [{"role": roles[n % 2], "content": said} for n, said in enumerate(contents)]


def answer(content: str) -> list[Message]:
    return turns(content, first="assistant")


def pairs(*rows: Any) -> list[Row]:
    return as_pairs(checked(enumerate(rows, start=1), "rows"))


def checks(row: Row) -> list[tuple[str, str]]:
    return [(one["check"], one["side"]) for one in row["faults"]]


PAIR = {"prompt": "a", "chosen": "b", "rejected": "c"}
HH = {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"}
REPEATED = {"chosen": turns("a", "b"), "rejected": turns("a", "c")}
TALK = {"messages": turns("a", "b")}
WHOLE = (turns("a"), answer("b"), answer("c"))


@pytest.mark.parametrize(
    ("good", "bad", "lost"),
    [
        (PAIR, PAIR | {"chosen": True}, {"chosen"}),
        (PAIR, PAIR | {"prompt": None}, {"prompt"}),
        (PAIR, PAIR | {"rejected": [{"role": "bot", "content": "c"}]}, {"rejected"}),
        (PAIR, PAIR | {"prompt": [*turns("x", "y"), 7, *turns("z")]}, {"prompt"}),
        (PAIR, {"prompt": "a", "chosen": "b"}, {"rejected"}),
        (PAIR, {"rejected": "c"}, {"prompt", "chosen"}),
        (PAIR, HH, set()),  # a row of another form is read by its own
        (PAIR, PAIR | {"score_chosen": "one"}, set()),
        (PAIR, TALK, {"rejected"}),
        (REPEATED, REPEATED | {"chosen": [*turns("a", "x"), 7]}, {"chosen"}),
        (REPEATED | PAIR, REPEATED | {"prompt": 5}, set()),  # the answers repeat the prompt
        (HH, HH | {"chosen": None}, {"chosen"}),
        (HH, HH | {"rejected": 5}, {"rejected"}),
        (HH, {"chosen": None, "rejected": None}, {"prompt", "chosen", "rejected"}),
        (TALK, {"messages": [*turns("a"), {"role": "assistant", "content": 1}]}, {"chosen"}),
        (TALK, {"messages": [7, *answer("b")]}, {"prompt"}),
        (TALK, {"messages": "a"}, {"prompt", "chosen"}),
        (PAIR, None, {"prompt", "chosen", "rejected"}),
    ],
)
def test_of_a_damaged_row_every_side_that_can_be_read_is_kept(
    good: Row, bad: Any, lost: set[str]
) -> None:
    rows = pairs(good, bad, good)
    assert [bool(row["faults"]) for row in rows] == [False, True, False]
    if good is TALK:
        lost = lost | {"rejected"}
    sides = zip(("prompt", "chosen", "rejected"), WHOLE, strict=True)
    expected = {side: None if side in lost else turns for side, turns in sides}
    assert {side: rows[1][side] for side in expected} == expected


def test_rows_that_could_not_be_read_stand_in_their_place_with_all_their_faults() -> None:
    good = {"prompt": "a", "chosen": "b", "rejected": "c"}
    rows = pairs(good, good | {"chosen": True, "rejected": None}, good)
    assert [row["row"] for row in rows] == [1, 2, 3]
    assert rows[1]["prompt"] == turns("a")
    assert rows[1]["chosen"] is rows[1]["rejected"] is None
    assert checks(rows[1]) == [("P1", "chosen"), ("P1", "rejected")]
    assert checks(rows[0]) == checks(rows[2]) == []


def test_what_else_is_wrong_with_a_damaged_row_is_told_too() -> None:
    (row,) = pairs(PAIR | {"prompt": [], "chosen": " ", "rejected": True})
    assert checks(row) == [
        ("P1", "rejected"),
        ("turn_order", "prompt"),
        ("P1", "chosen"),
    ]


@pytest.mark.parametrize("question", ["a\0b", "a\ud83d"])
def test_a_text_with_an_odd_character_can_be_read_and_goes_into_a_frame(question: str) -> None:
    (row,) = pairs(PAIR | {"prompt": question})
    assert row["prompt"][0]["content"].startswith("a") and len(row["faults"]) == 1
    assert pairs_frame([row], "train")["prompt"][0].to_list() == row["prompt"]


def test_a_damaged_row_of_the_test_set_still_shows_what_it_asks() -> None:
    train = [PAIR | {"prompt": f"Question {n}"} for n in range(5)]
    test = [train[3] | {"chosen": True}, PAIR | {"prompt": None, "chosen": None}]
    test += [PAIR | {"prompt": "Other"}]
    frames = [pairs_frame(pairs(*rows), split) for rows, split in ((train, "train"), (test, "te"))]
    shared = PromptInOneSplit().judge(Pairs(pl.concat(frames)))
    assert not shared.passed and shared.rows == {"train": [4], "te": [1]}


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["train", "test", None], True),
        (["train"] * 3, True),
        ([None] * 3, False),
        (["train", 5, None], False),
        (["\ud800", "train", "train"], False),
        ([str(n) for n in range(11)], False),
        ([str(n % 10) for n in range(11)], True),
    ],
)
def test_a_row_keeps_its_split_where_a_column_divides_the_file(
    names: list[Any], kept: bool
) -> None:
    given = [PAIR | {"split": name, "chosen": None if n else "b"} for n, name in enumerate(names)]
    rows = pairs(*given)
    assert [row.get("split") for row in rows] == (names if kept else [None] * len(names))
    assert all(("split" in row) == kept for row in rows)
