"""Several answers to a prompt -> best against worst; samplers and judges are plain functions."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.core.answers import Answer
from tasks.core.errors import InputError
from tasks.core.fields import Message, Row
from tasks.core.on_policy import alike, on_policy_pairs, write_completions
from tasks.core.own_answers import require_pairs
from tasks.core.rows import read_rows
from tasks.core.score_answers import Score, Scored
from tasks.core.settings import Judging, Rule

HOW = Judging(rules=(Rule(longer_than=1, score=1.0),))


def row_of(number: int, text: str) -> Row:
    return {"row": number, "split": "train", "prompt": [{"role": "user", "content": text}]}


def said(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]


def sampler(*texts: str) -> Callable[[list[list[Message]]], list[list[Answer]]]:
    return lambda prompts: [[Answer(text, True) for text in texts] for _ in prompts]


def by_number(scored: list[Scored]) -> list[Score]:
    """The number at the end of the answer."""
    return [Score(float(text.split()[-1])) for _, text in scored]


def one_row(answers: list[Answer], how: Judging = HOW) -> tuple[list[Row], list[Row], list[Row]]:
    return on_policy_pairs([row_of(7, "Hi")], lambda _: [answers], by_number, how)


def test_the_best_answer_is_chosen_and_the_worst_rejected() -> None:
    own = row_of(7, "Hi") | {"chosen": said("theirs"), "rejected": said("other"), "tokens": 9}
    texts = ("so la 2", "a b 4", "c d 1", "e f 3")
    [pair], aside, completions = on_policy_pairs([own], sampler(*texts), by_number, HOW)
    assert aside == []
    assert pair == row_of(7, "Hi") | {
        "chosen": said("a b 4"),
        "rejected": said("c d 1"),
        "score_chosen": 4.0,
        "score_rejected": 1.0,
    }
    assert completions == [
        row_of(7, "Hi")
        | {"completion": said(text), "sample": n, "score": float(text[-1]), "finished": True}
        for n, text in enumerate(texts, start=1)
    ]


@pytest.mark.parametrize(
    ("texts", "how", "code"),
    [
        (("a 2", "b 2", "c 2"), HOW, "tie"),
        (("a 2", "b 2.5"), HOW.model_copy(update={"least_margin": 0.5}), "tie"),
        (("one two three four 1", "one two three four 2"), HOW, None),
        (
            ("one two three four 1", "one two three four 2"),
            HOW.model_copy(update={"most_alike": 4 / 6 - 0.01}),  # 4 words shared of 6 in all
            "too-alike",
        ),
    ],
)
def test_ties_small_margins_and_answers_that_are_alike_make_no_pair(
    texts: tuple[str, ...], how: Judging, code: str | None
) -> None:
    rows = [row_of(7, "Hi")]
    pairs, aside, completions = on_policy_pairs(rows, sampler(*texts), by_number, how)
    assert [row["code"] for row in aside] == ([code] if code else [])
    assert len(pairs) == (0 if code else 1)
    assert len(completions) == len(texts)  # published whether a pair came of them or not


def test_answers_that_failed_or_were_cut_off_are_set_aside_one_by_one() -> None:
    answers = [
        Answer("cut off 9", False),
        Answer("", False, error="out of memory"),
        Answer("good 2", True),
        Answer("", True),
        Answer("bad 1", True),
    ]
    [pair], aside, completions = one_row(answers)
    assert (pair["chosen"], pair["rejected"]) == (said("good 2"), said("bad 1"))
    assert [(row["row"], row["code"], row["reason"]) for row in aside] == [
        (7, "cut-off", "answer 1: the answer ran into the token limit"),
        (7, "failed", "answer 2: out of memory"),
        (7, "empty-answer", "answer 4: the model answers nothing"),
    ]
    assert [one["score"] for one in completions] == [None, None, 2.0, None, 1.0]
    assert [one["finished"] for one in completions] == [False, False, True, True, True]


def test_a_prompt_with_fewer_than_two_answers_left_is_set_aside() -> None:
    cut = Answer("cut off 9", False)
    pairs, aside, _ = one_row([cut, cut, Answer("good 2", True), Answer("", True)])
    assert pairs == []
    assert aside[-1]["code"] == "too-few"
    lost = "2 x cut-off, 1 x empty-answer"
    assert aside[-1]["reason"] == f"1 of 4 answers left, a pair needs two ({lost})"


def test_a_row_without_a_pair_has_its_own_reason_after_those_of_its_answers() -> None:
    answers = {
        "tie": [Answer("a 2", True), Answer("cut off", False), Answer("b 2", True)],
        "too-alike": [Answer("", True), Answer("a b 1", True), Answer("a b 2", True)],
        "too-few": [Answer("", False, error="no memory"), Answer("a 1", True)],
        "pair": [Answer("a 1", True), Answer("b 2", True), Answer("cut off", False)],
    }
    rows = [row_of(n, code) for n, code in enumerate(answers)]
    how = HOW.model_copy(update={"most_alike": 0.4})
    pairs, aside, _ = on_policy_pairs(rows, lambda _: [*answers.values()], by_number, how)
    assert [pair["row"] for pair in pairs] == [3]
    assert [row["row"] for row in aside] == [0, 0, 1, 1, 2, 2, 3]
    last = {row["row"]: row["code"] for row in aside}
    assert [last[n] for n in range(3)] == ["tie", "too-alike", "too-few"]


def test_an_answer_that_cannot_be_scored_is_left_out_of_the_choice() -> None:
    def judge(scored: list[Scored]) -> list[Score]:
        return [Score(None, "too long") if "x" in t else by_number([(p, t)])[0] for p, t in scored]

    texts = ("a 1", "x 9", "b 2")
    [pair], [row], _ = on_policy_pairs([row_of(7, "Hi")], sampler(*texts), judge, HOW)
    assert pair["chosen"] == said("b 2")
    assert (row["code"], row["reason"]) == ("failed", "answer 2: too long")


def test_equal_answers_to_one_prompt_are_judged_once() -> None:
    asked: list[Scored] = []

    def judge(scored: list[Scored]) -> list[Score]:
        asked.extend(scored)
        return by_number(scored)

    rows = [row_of(1, "Hi"), row_of(2, "Ho")]
    pairs, _, completions = on_policy_pairs(rows, sampler("a 1", "b 2", "a 1"), judge, HOW)
    assert len(pairs) == 2
    assert [text for _, text in asked] == ["a 1", "b 2"] * 2
    assert [one["score"] for one in completions] == [1.0, 2.0, 1.0] * 2


def test_a_prompt_that_several_rows_share_is_answered_once_and_no_row_is_lost() -> None:
    rows = [row_of(1, "Hi"), row_of(2, "Ho"), row_of(3, "Hi")]
    pairs, [row], _ = on_policy_pairs(rows, sampler("a 1", "b 2"), by_number, HOW)
    assert [pair["row"] for pair in pairs] == [1, 2]
    assert (row["row"], row["code"]) == (3, "repeated-prompt")
    assert row["reason"] == "the same prompt as row 1"


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ("Yes, of course.", "yes of course", 1.0),
        ("a b c", "d e f", 0.0),
        ("a a b", "a b b", 2 / 4),  # each word as often as it is said
        ("你好吗", "你好了", 2 / 4),
        ("", "", 1.0),
        ("!", "?", 0.0),
    ],
)
def test_how_alike_two_answers_are_is_counted_in_words(one: str, other: str, share: float) -> None:
    assert alike(one, other) == alike(other, one) == pytest.approx(share)


def test_completions_are_read_back_as_they_were_even_if_none_has_a_score(tmp_path: Path) -> None:
    cut = [Answer("cut off", False)] * 2
    for answers in ([Answer("a 1", True), Answer("b 2", True)], cut):
        _, _, completions = one_row(answers)
        write_completions(tmp_path / "completions.parquet", completions)
        assert read_rows(tmp_path / "completions.parquet") == completions


def test_a_split_without_pairs_is_told_with_what_became_of_the_answers() -> None:
    pairs, aside, _ = one_row([Answer("a 2", True), Answer("b 2", True)])
    with pytest.raises(
        InputError, match=r"on_policy: no pair for train among 0; set aside: 1 x tie\. Check x,"
    ):
        require_pairs(pairs, aside, "on_policy", "x")
