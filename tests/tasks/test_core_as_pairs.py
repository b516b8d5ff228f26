"""Rows -> pairs for the checks: no row is lost, and no defect of a row hides another."""

import gzip
import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tasks.core.as_pairs import as_pairs, order_faults
from tasks.core.fields import Message, Row
from tasks.core.forms import Loaded, checked
from tasks.core.load import load_file

NAMES = ("hh-harmless-base-test.jsonl.gz", "hh-helpful-base-test.jsonl.gz")
TURN = re.compile(r"\n\n(Human|Assistant):")


def turns(*contents: str, first: str = "user") -> list[Message]:
    """Contents as turns of user and assistant in turn."""
    roles = ["user", "assistant"] if first == "user" else ["assistant", "user"]
    return [{"role": roles[n % 2], "content": said} for n, said in enumerate(contents)]


def answer(content: str) -> list[Message]:
    return turns(content, first="assistant")


def transcript(*contents: str) -> str:
    """ "H: ..." and "A: ..." as a transcript of HH-RLHF."""
    names = {"H": "Human", "A": "Assistant"}
    return "".join(f"\n\n{names[said[0]]}:{said[2:]}" for said in contents)


def pairs(*rows: Any) -> list[Row]:
    return as_pairs(checked(enumerate(rows, start=1), "rows"))


def found(row: Row) -> list[tuple[str, str, str]]:
    return [(one["check"], one["side"], one["reason"]) for one in row["faults"]]


def hh(chosen: str, rejected: str) -> Row:
    rows = [{"row": 1, "chosen": chosen, "rejected": rejected}]
    return as_pairs(Loaded("hh", "", rows, []))[0]


def both(check: str, reason: str) -> list[tuple[str, str, str]]:
    """The same fault of both sides."""
    return [(check, side, reason) for side in ("chosen", "rejected")]


EMPTY = "an answer in `{}` is empty"
NO_QUESTION = ("turn_order", "prompt", "the prompt does not end with a user turn")
NO_ANSWER = "`{}` does not end with an assistant turn"
DIFFER = ("same_prompt", "prompt", "the two prompts differ before the last assistant turn")


def test_a_good_transcript_has_its_prompt_its_answers_and_no_fault() -> None:
    shared = ("H: a", "A: b", "H: c")
    row = hh(transcript(*shared, "A: d "), transcript(*shared, "A: e"))
    assert row == {
        "row": 1,
        "prompt": turns("a", "b", "c"),
        "chosen": answer("d"),
        "rejected": answer("e"),
        "score_chosen": None,
        "score_rejected": None,
        "faults": [],
    }


@pytest.mark.parametrize(
    ("chosen", "rejected", "faults"),
    [
        (["H: a", "A: b"], ["H: c", "A: d"], [DIFFER]),
        (
            ["H: a", "A:"],
            ["H: a", "A: "],
            [("P1", s, EMPTY.format(s)) for s in ("chosen", "rejected")],
        ),
        (["H: a", "A: b"], ["H: a", "A: b"], []),
        (
            ["H: a", "A: b", "A: c"],
            ["H: a", "A: d"],
            [("turn_order", "chosen", "two assistant turns in a row (turns 2 and 3)"), DIFFER],
        ),
        (
            ["H: a", "H: b", "A: c"],
            ["H: a", "H: b", "A: d"],
            both("turn_order", "two user turns in a row (turns 1 and 2)"),
        ),
        (
            ["H: a", "A: b"],
            ["H: a", "A: b", "H: c"],
            [("turn_order", "rejected", NO_ANSWER.format("rejected"))],
        ),
        (
            ["H: a", "A:", "H: b", "A: c"],
            ["H: a", "A:", "H: b", "A:"],
            [
                ("P1", "prompt", "turn 2 of the prompt is empty"),
                ("P1", "rejected", EMPTY.format("rejected")),
            ],
        ),
        (
            ["H: a", "A:", "H: b", "A: c"],
            ["H: a", "A: d", "H:", "A: e"],
            [DIFFER, *[("P1", "prompt", f"turn {n} of the prompt is empty") for n in (2, 3)]],
        ),
        (["A: a"], ["A: b"], both("turn_order", "turn 1 is assistant, not user")),
    ],
)
def test_all_that_is_wrong_with_a_transcript_is_told_by_side(
    chosen: list[str], rejected: list[str], faults: list[tuple[str, str, str]]
) -> None:
    assert found(hh(transcript(*chosen), transcript(*rejected))) == faults


def test_text_before_the_first_turn_is_told_and_the_turns_are_read() -> None:
    row = hh("Once" + transcript("H: a", "A: b"), transcript("H: a", "A: c"))
    assert found(row) == [("turn_order", "chosen", "text before the first turn of `chosen`")]
    assert (row["prompt"], row["chosen"], row["rejected"]) == (turns("a"), answer("b"), answer("c"))


def test_a_text_without_any_marker_is_no_answer_to_a_transcript_without_a_question() -> None:
    row = hh("plain", transcript("A: b"))
    assert row["chosen"] is None
    assert [one[2] for one in found(row)][1] == NO_ANSWER.format("chosen")


def test_the_prompt_is_that_of_the_chosen_side_where_the_two_differ() -> None:
    row = hh(transcript("H: a", "A: b", "H: c", "A: d"), transcript("H: x", "A: e"))
    assert row["prompt"] == turns("a", "b", "c")
    assert (row["chosen"], row["rejected"]) == (answer("d"), answer("e"))


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"prompt": []}, NO_QUESTION),
        ({"prompt": turns("a", "b")}, NO_QUESTION),
        ({"prompt": turns("a", " ", "b")}, ("P1", "prompt", "turn 2 of the prompt is empty")),
        ({"chosen": []}, ("P1", "chosen", "no turn in `chosen`")),
        ({"chosen": "\n"}, ("P1", "chosen", EMPTY.format("chosen"))),
        ({"chosen": turns("a")}, ("turn_order", "chosen", NO_ANSWER.format("chosen"))),
        (
            {"rejected": answer("a") + answer("b")},
            ("turn_order", "rejected", "two assistant turns in a row (turns 1 and 2)"),
        ),
        (
            {"rejected": turns("other", "b")},
            ("same_prompt", "prompt", "`rejected` begins with other turns than the prompt"),
        ),
    ],
)
def test_a_fault_of_a_ready_pair_is_told_by_side(
    changed: dict[str, Any], fault: tuple[str, str, str]
) -> None:
    (row,) = pairs({"prompt": turns("a"), "chosen": answer("b"), "rejected": answer("c")} | changed)
    assert found(row) == [fault]


def test_an_answer_of_several_turns_and_equal_answers_are_no_faults_of_a_row() -> None:
    several = turns("b", "c", "d", first="assistant")
    (row,) = pairs({"prompt": turns("a"), "chosen": several, "rejected": several})
    assert found(row) == [] and row["chosen"] == several


def test_scores_stand_beside_the_pair() -> None:
    (row,) = pairs({"prompt": "a", "chosen": "b", "rejected": "c", "metadata": {"score_chosen": 8}})
    assert (row["score_chosen"], row["score_rejected"]) == (8.0, None)


@pytest.mark.parametrize(
    ("messages", "split_at", "faults"),
    [
        (turns("a", "b", "c", "d"), 3, []),
        ([{"role": "system", "content": "s"}, *turns("a", "b")], 2, []),
        (
            turns("a", "", "c", " "),
            3,
            [
                ("P1", "prompt", "turn 2 of the prompt is empty"),
                ("P1", "chosen", "the last answer is empty"),
            ],
        ),
        (
            turns("a", "b", "c"),
            1,
            [("turn_order", "chosen", "the conversation does not end with an assistant turn")],
        ),
        (
            turns("a") + turns("b", "c"),
            2,
            [("turn_order", "prompt", "two user turns in a row (turns 1 and 2)")],
        ),
        (answer("a"), 0, [("turn_order", "prompt", "no user turn")]),
        (turns("a"), None, [("turn_order", "chosen", "no assistant turn")]),
        (
            [],
            None,
            [
                ("turn_order", "prompt", "no user turn"),
                ("turn_order", "chosen", "no assistant turn"),
            ],
        ),
    ],
)
def test_a_conversation_is_a_prompt_and_its_last_answer(
    messages: list[Message], split_at: int | None, faults: list[tuple[str, str, str]]
) -> None:
    (row,) = pairs({"messages": messages})
    assert found(row) == faults and row["rejected"] is None
    if split_at is None:
        assert (row["prompt"], row["chosen"]) == (messages, None)
    else:
        assert row["prompt"] == messages[:split_at]
        assert row["chosen"] == messages[split_at : split_at + 1]


def test_a_system_message_in_the_middle_is_out_of_order() -> None:
    middle = [*turns("a"), {"role": "system", "content": "s"}, *turns("b")]
    assert order_faults(middle) == ["turn 2 is a system message"]


def counted(raw: list[dict[str, str]]) -> dict[tuple[str, str], set[int]]:
    """Rows by what is wrong with them, counted on the markers alone."""
    wrong: dict[tuple[str, str], set[int]] = {}
    for number, row in enumerate(raw, start=1):
        told = set()
        parts = {side: TURN.split(row[side])[1:] for side in ("chosen", "rejected")}
        for side, found in parts.items():
            names, said = found[::2], [text.strip() for text in found[1::2]]
            told |= {("turn_order", side) for one, other in pairwise(names) if one == other}
            told |= {("P1", side)} if not said[-1] else set()
            told |= {("P1", "prompt")} if "" in said[:-1] else set()
        if len({row[side].rpartition("\n\nAssistant:")[0] for side in parts}) > 1:
            told.add(("same_prompt", "prompt"))
        for one in told:
            wrong.setdefault(one, set()).add(number)
    return wrong


@pytest.mark.parametrize(
    ("name", "known"),  # counts published beside the data
    [
        (
            NAMES[0],
            {
                ("P1", "chosen"): 4,
                ("same_prompt", "prompt"): 5,
                ("turn_order", "chosen"): 8,
                ("turn_order", "rejected"): 5,
            },
        ),
        (
            NAMES[1],
            {
                ("P1", "rejected"): 4,
                ("P1", "prompt"): 1,
                ("same_prompt", "prompt"): 9,
                ("turn_order", "chosen"): 9,
                ("turn_order", "rejected"): 13,
            },
        ),
    ],
)
def test_the_oddities_of_real_transcripts_come_out_with_their_rows(
    real_data: Path, name: str, known: dict[tuple[str, str], int]
) -> None:
    with gzip.open(real_data / name, "rt", encoding="utf-8") as lines:
        expected = counted([json.loads(line) for line in lines])
    rows: dict[tuple[str, str], set[int]] = {}
    for row in as_pairs(load_file(str(real_data / name))):
        for check, side, _ in found(row):
            rows.setdefault((check, side), set()).add(row["row"])
    assert rows == expected
    assert {key: len(numbers) for key, numbers in rows.items()} == known


def test_every_other_real_file_is_free_of_faults_and_complete(real_data: Path) -> None:
    files = [path for path in sorted(real_data.glob("*.json*")) if path.name not in NAMES]
    assert len(files) == 8
    for path in files:
        loaded = load_file(str(path))
        rows = as_pairs(loaded)
        assert [row["row"] for row in rows] == [row["row"] for row in loaded.rows]
        assert Counter(one for row in rows for one in found(row)) == Counter()
        assert all(row["prompt"] and row["chosen"] for row in rows)
        assert all((row["rejected"] is None) == (loaded.form == "conversations") for row in rows)
