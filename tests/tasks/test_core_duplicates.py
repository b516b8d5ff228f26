"""Rows that say again what another row says, told before the split."""

import random
from collections import Counter
from pathlib import Path

import pytest

from tasks.core.duplicates import repeated_rows
from tasks.core.fields import Row
from tasks.core.rows import write_rows

WORDS = [f"word{number}" for number in range(500)]


def told(tmp_path: Path, rows: list[Row], near: float | None = None) -> dict[int, tuple[str, str]]:
    """row -> (code, reason) of what is set aside."""
    write_rows(tmp_path / "rows.parquet", rows)
    keep, found = repeated_rows(tmp_path / "rows.parquet", near)
    gone = {one["row"] for one in found}
    assert [row["row"] for row, stays in zip(rows, keep, strict=True) if not stays] == sorted(gone)
    return {one["row"]: (one["code"], one["reason"]) for one in found}


def pair(row: int, prompt: str, chosen: str, rejected: str) -> Row:
    sides = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    return {"row": row} | {
        side: [{"role": roles[side], "content": text}] for side, text in sides.items()
    }


def words(seed: int, count: int) -> list[str]:
    return random.Random(seed).choices(WORDS, k=count)


def test_of_equal_rows_the_first_stays_and_the_others_name_it(tmp_path: Path) -> None:
    rows = [pair(1, "q", "a", "b"), pair(2, "q", "a", "c"), pair(7, " q ", "a\n", "b")]
    assert told(tmp_path, rows) == {7: ("duplicate", "the same row as row 1")}


def test_of_two_rows_that_contradict_each_other_none_stays(tmp_path: Path) -> None:
    rows = [pair(1, "q", "a", "b"), pair(2, "q", "b", "a"), pair(3, "other", "b", "a")]
    assert {row: code for row, (code, _) in told(tmp_path, rows).items()} == {
        1: "contradiction",
        2: "contradiction",
    }


def test_rows_that_contradict_each_other_but_for_case_and_punctuation_both_go(
    tmp_path: Path,
) -> None:
    rows = [pair(1, "Is it so?", "Yes.", "No"), pair(2, "is it so", "no!", "Yes")]
    assert {code for code, _ in told(tmp_path, rows, near=0.9).values()} == {"contradiction"}
    assert len(told(tmp_path, rows)) == 2


def test_answers_that_differ_in_punctuation_alone_are_told_apart_by_it(tmp_path: Path) -> None:
    rows = [pair(1, "q", "Yes.", "Yes"), pair(2, "q", "yes", "Yes!")]
    assert told(tmp_path, rows) == {}
    assert len(told(tmp_path, [*rows, pair(3, "q", "Yes", "Yes.")])) == 2


def test_rows_whose_answers_changed_sides_are_not_near_each_other(tmp_path: Path) -> None:
    said = " ".join(words(4, 400))
    rows = [pair(1, said, "alpha beta gamma", "one two"), pair(2, said + " x", "one two", "alpha")]
    assert told(tmp_path, rows, near=0.6) == {}


def test_two_turns_of_one_conversation_are_not_near_each_other(tmp_path: Path) -> None:
    history = [{"role": "user", "content": " ".join(words(5, 300))}]
    rows = [
        {"row": 1, "prompt": [*history, {"role": "user", "content": text}]}
        for text in ("And what is this?", "Thank you, that will do.", "and what is THIS")
    ]
    assert told(tmp_path, rows, near=0.6) == {1: ("near-duplicate", "100 % like row 1")}


def test_a_repetition_of_a_row_that_is_contradicted_does_not_come_back_in(tmp_path: Path) -> None:
    rows = [pair(1, "q", "a", "b"), pair(2, "q", "b", "a"), pair(3, "q", "a", "b")]
    assert set(told(tmp_path, rows)) == {1, 2, 3}


def test_who_speaks_is_part_of_what_is_said(tmp_path: Path) -> None:
    one, other = pair(1, "q", "a", "b"), pair(2, "q", "a", "b")
    other["prompt"] = [{"role": "system", "content": "q"}]
    assert told(tmp_path, [one, other]) == {}


def test_each_prompt_of_a_conversation_is_asked_once(tmp_path: Path) -> None:
    rows = [
        {"row": number, "prompt": [{"role": "user", "content": text}]}
        for number, text in enumerate(["Who?", "What?", "Who? "], start=1)
    ]
    assert told(tmp_path, rows) == {3: ("repeated-prompt", "the same prompt as row 1")}


@pytest.mark.parametrize("changed", range(0, 13, 2))
def test_a_row_is_near_another_by_the_jaccard_index_of_their_runs_of_three(
    tmp_path: Path, changed: int
) -> None:
    """Other words at the end of one answer: of its 98 runs, 98 - changed are shared."""
    said = words(1, 300)
    other = said[: 300 - changed] + [f"new{number}" for number in range(changed)]
    rows = [
        pair(1, " ".join(said[:100]), " ".join(said[100:200]), " ".join(said[200:])),
        pair(2, " ".join(other[:100]), " ".join(other[100:200]), " ".join(other[200:]) + " !"),
    ]
    index = (98 - changed) / (98 + changed)
    found = told(tmp_path, rows, near=0.9)
    if index >= 0.9:
        assert found == {2: ("near-duplicate", f"{100 * index:.0f} % like row 1")}
    else:
        assert found == {}


def test_a_system_message_makes_no_two_rows_alike(tmp_path: Path) -> None:
    system = {"role": "system", "content": " ".join(words(9, 300))}
    rows = [pair(n, " ".join(words(n, 9)), "a", "b") for n in (1, 2)]
    for row in rows:
        row["prompt"].insert(0, system)
    assert told(tmp_path, rows, near=0.6) == {}


def test_many_near_copies_of_one_row_all_name_the_row_that_stays(tmp_path: Path) -> None:
    said = " ".join(words(2, 200))
    rows = [pair(n, said + "!" * n, "an answer", "another") for n in range(1, 40)]
    rows += [pair(100 + n, " ".join(words(n, 60)), "a", "b") for n in range(3, 30)]
    found = told(tmp_path, rows, near=0.9)
    assert Counter(code for code, _ in found.values()) == {"near-duplicate": 38}
    assert {reason.split(" like ")[1] for _, reason in found.values()} == {"row 1"}


def test_rows_too_short_for_a_run_of_three_words_are_compared_by_all_of_them(
    tmp_path: Path,
) -> None:
    rows = [pair(1, "Hi", "a", "x"), pair(2, "Hi", "b", "x"), pair(3, "", "", "")]
    assert told(tmp_path, rows, near=0.6) == {}


def test_nothing_is_near_where_it_is_not_asked_for(tmp_path: Path) -> None:
    said = " ".join(words(3, 100))
    rows = [pair(1, said, "a", "b"), pair(2, said + " too", "a", "b")]
    assert set(told(tmp_path, rows, near=0.9)) == {2}
    assert told(tmp_path, rows, near=None) == {}


def test_rows_in_different_batches_are_compared(tmp_path: Path) -> None:
    rows = [pair(n, " ".join(words(n, 12)), "x y z", "u v w") for n in range(1, 5_003)]
    rows += [pair(6_000, " ".join(words(5, 12)), "x y z", "u v w"), rows[0] | {"row": 6_001}]
    assert told(tmp_path, rows, near=0.9) == {
        6_000: ("duplicate", "the same row as row 5"),
        6_001: ("duplicate", "the same row as row 1"),
    }
