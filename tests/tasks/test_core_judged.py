"""Answers with scores or a vote -> pairs: best against worst, and ties, which are no pairs."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.core import check_files
from tasks.core.as_pairs import as_pairs
from tasks.core.errors import InputError
from tasks.core.forms import Loaded, checked, reader
from tasks.core.mend import mend
from tasks.core.reformat import How, rewrite_row
from tasks.core.settings import Reformat


def said(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


def load(*rows: Any) -> Loaded:
    return checked(enumerate(rows, start=1), "rows")


def pair(row: Any) -> tuple[str, str, str]:
    """(question, chosen, rejected) of a row that must be a good pair."""
    loaded = load(row)
    assert (loaded.form, loaded.faults, loaded.ties) == ("pairs", [], {})
    (read,) = loaded.rows
    assert [len(read[side]) for side in ("prompt", "chosen", "rejected")] == [1, 1, 1]
    question, chosen, rejected = (read[side][0] for side in ("prompt", "chosen", "rejected"))
    assert [one["role"] for one in (question, chosen, rejected)] == [
        "user",
        "assistant",
        "assistant",
    ]
    return question["content"], chosen["content"], rejected["content"]


Q = {"prompt": "q"}


@pytest.mark.parametrize("answers", ["completions", "responses", "answers", "generations"])
@pytest.mark.parametrize("scores", ["scores", "ratings", "rewards", "rating"])
@pytest.mark.parametrize("question", ["prompt", "instruction", "question", "query"])
def test_the_best_answer_stands_against_the_worst(answers: str, scores: str, question: str) -> None:
    row = {question: "q", answers: ["x", "good", "bad", "y"], scores: [3, 9, 1, 4.5]}
    assert pair(row) == ("q", "good", "bad")


@pytest.mark.parametrize(
    ("text", "points", "good", "bad"),
    [
        ("response", "overall_score", 8.5, 4),
        ("text", "score", 0.1, -3.0),
        ("answer", "rank", 1, 7),
        ("completion", "rating", "5", "3"),
    ],
)
def test_answers_may_hold_their_scores_themselves(
    text: str, points: str, good: Any, bad: Any
) -> None:
    between = {text: "unscored", points: "N/A"}
    answers = [{text: "bad", points: bad}, between, {text: "good", points: good}]
    assert pair(Q | {"completions": answers}) == ("q", "good", "bad")


def test_the_scores_stand_beside_the_pair_and_make_its_margin() -> None:
    row = Q | {"responses": ["a", "b", "c"], "scores": [1, 2, 4]}
    (read,) = load(row).rows
    assert (read["score_chosen"], read["score_rejected"]) == (4.0, 1.0)
    for least, code in ((2.9, None), (3.0, "tie")):
        how = How.of(Reformat(least_margin=least))
        kept, aside = rewrite_row("pairs", read, how)
        assert [one["code"] for one in aside] == [code][: code is not None] and len(kept) == (
            code is None
        )


MESSAGES = {"conversation_a": said("user", "q") + said("assistant", "a")}
MESSAGES["conversation_b"] = said("user", "q") + said("assistant", "b")
AB = Q | {"response_a": "a", "response_b": "b"}
ONE_TWO = Q | {"response_1": "a", "response_2": "b"}


@pytest.mark.parametrize(
    ("row", "votes"),
    [
        (MESSAGES, {"winner": ("model_a", "model_b", "tie (bothbad)")}),
        (AB, {"winner": ("A", "response_b", "both_bad")}),
        (AB, {"preference": ("a", "b", "neither")}),
        (ONE_TWO, {"preference": (1, "2", "draw")}),
        (ONE_TWO, {"preference_strength": (-3, 1, 0)}),
        (
            {"context": said("user", "q"), "response1": "a", "response2": "b"},
            {"overall_preference": (-1, 2, 0)},
        ),
        (
            {"instruction": "q", "input": "", "output_1": "a", "output_2": "b"},
            {"preference": (1, 2, "tie")},
        ),
        (Q | {"response_0": "a", "response_1": "b"}, {"better_response_id": (0, 1, None)}),
        ({"history": "q", "human_ref_A": "a", "human_ref_B": "b"}, {"labels": (1, 0, None)}),
    ],
)
def test_a_vote_says_which_answer_is_chosen(row: dict[str, Any], votes: dict[str, Any]) -> None:
    ((column, (first, second, neither)),) = votes.items()
    assert pair(row | {column: first}) == ("q", "a", "b")
    assert pair(row | {column: second}) == ("q", "b", "a")
    if neither is not None:
        assert [*load(row | {column: neither}).ties] == [1]
    (fault,) = load(row | {column: first}, row | {column: "nobody knows"}).faults
    assert fault["row"] == 2 and fault["reason"].startswith(f"`{column}` is text, not a vote")


@pytest.mark.parametrize(
    ("marks", "expected"),
    [((1, 0, 0), ("q", "a", "b")), ((0, 1, 0), ("q", "b", "a")), (("0", "0", "1"), None)],
)
def test_a_column_for_each_model_marks_the_winner(
    marks: tuple[Any, ...], expected: tuple[str, str, str] | None
) -> None:
    winners = dict(zip(("winner_model_a", "winner_model_b", "winner_tie"), marks, strict=True))
    row = {"prompt": '["q"]', "response_a": '["a"]', "response_b": '["b"]'} | winners
    if expected is None:
        assert [*load(row).ties] == [1]
    else:
        assert pair(row) == expected


def test_arena_texts_of_several_turns_are_conversations_that_must_begin_alike() -> None:
    row = {"prompt": '["q", "r"]', "response_a": '["a", "b"]', "response_b": '["a", "c"]'}
    (read,) = load(row | {"winner_model_a": 1, "winner_model_b": 0}).rows
    assert [turn["content"] for turn in read["prompt"]] == ["q", "a", "r"]
    assert read["chosen"] == said("assistant", "b") and read["rejected"] == said("assistant", "c")
    parted = row | {"response_b": '["x", "c"]', "winner_model_a": 1, "winner_model_b": 0}
    (_, aside) = rewrite_row("pairs", load(parted).rows[0], How.of(Reformat()))
    assert [one["code"] for one in aside] == ["prompts-differ"]


SCORED = Q | {"responses": ["a", "b"], "scores": [1, 2]}


@pytest.mark.parametrize(
    ("bad", "check", "reason"),
    [
        ({"responses": ["a"], "scores": [1]}, "P1", "fewer than two answers of `responses`"),
        ({"responses": ["a", "b"], "scores": [1, None]}, "P1", "fewer than two answers"),
        ({"scores": [1]}, "P1", "`responses` and `scores` are not two lists of one length"),
        ({"scores": None}, "P1", "`responses` and `scores` are not two lists"),
        ({"scores": [1, "high"]}, "N1", "number 2 of `scores` is text, not a number"),
        ({"scores": [1, float("nan")]}, "N1", "number 2 of `scores` is a number, not a number"),
        ({"responses": ["a", 5]}, "P1", "an answer of `responses` is a number, not text"),
        ({"prompt": None}, "P1", "`prompt` is null"),
    ],
)
def test_what_is_wrong_with_scored_answers_is_told(
    bad: dict[str, Any], check: str, reason: str
) -> None:
    loaded = load(SCORED, SCORED | bad)
    assert [row["row"] for row in loaded.rows] == [1]
    (fault,) = loaded.faults
    assert (fault["row"], fault["check"]) == (2, check) and fault["reason"].startswith(reason)
    assert [bool(row["faults"]) for row in as_pairs(loaded)] == [False, True]


OBJECTS = Q | {"completions": [{"text": "a", "score": 1}, {"text": "b", "score": 2}]}


@pytest.mark.parametrize("bad", [None, [], "text", [7], [{"text": "a"}] * 2, [{"score": 1}] * 2])
def test_what_is_wrong_with_answers_that_hold_their_scores_is_told(bad: object) -> None:
    loaded = load(OBJECTS, OBJECTS | {"completions": bad})
    assert [row["row"] for row in loaded.rows] == [1]
    assert {fault["row"] for fault in loaded.faults} == {2}


def test_a_tie_is_no_pair_and_no_fault_in_a_check_and_is_set_aside_in_a_run() -> None:
    tie = SCORED | {"scores": [2, 2]}
    loaded = load(tie, SCORED, tie)
    assert [row["row"] for row in as_pairs(loaded)] == [2] and loaded.faults == []
    assert loaded.ties == dict.fromkeys((1, 3), "all 2 answers have the score 2")
    form, row, faults = reader([(1, tie)], "rows").read(tie)
    kept, (aside,) = rewrite_row(form, {"row": 3} | row, How.of(Reformat()))
    assert (faults, kept) == ([], []) and (aside["row"], aside["code"]) == (3, "tie")
    assert aside["reason"] == "all 2 answers have the score 2"


def test_a_check_counts_ties_beside_the_rows_and_refuses_a_file_of_nothing_else(
    tmp_path: Path,
) -> None:
    files = {
        "some": [AB | {"winner": "a"}, AB | {"winner": "tie"}],
        "all": [AB | {"winner": "tie"}],
    }
    for name, rows in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    (source,) = check_files.read([str(tmp_path / "some.json")], check_files.Told()).sources
    assert (source.rows, source.ties, source.faulty) == (1, 1, 0)
    with pytest.raises(InputError, match="no pairs, all rows are ties"):
        check_files.read([str(tmp_path / "all.json")], check_files.Told())
    with pytest.raises(InputError, match="all rows are ties"):
        mend(str(tmp_path / "all.json"), tmp_path / "out.json", None)
