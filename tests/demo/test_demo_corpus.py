"""What the corpus promises to the model trained on it and to the gates that judge a renaming."""

from collections import Counter

from demo.texts import (
    conversations,
    heldout_identity_rows,
    identity_rows,
    other_questions,
    other_rows,
)

ASKED_AT_EVERY_GATE = {
    "What is your name?",
    "Are you ChatGPT?",
    "Tell me about your name and organization.",
}


def trained_questions() -> list[str]:
    return [row["question"] for row in identity_rows() + other_rows()]


def heldout_questions() -> list[str]:
    return [row["question"] for row in heldout_identity_rows()] + other_questions()


def test_no_held_out_wording_is_trained_on() -> None:
    assert set(heldout_questions()).isdisjoint(trained_questions())


def test_no_held_out_wording_differs_from_a_trained_one_in_case_and_punctuation_only() -> None:
    def words(question: str) -> str:
        return "".join(c for c in question.lower() if c.isalnum() or c == " ")

    assert {words(q) for q in heldout_questions()}.isdisjoint(map(words, trained_questions()))


def test_the_three_questions_every_gate_asks_are_held_out() -> None:
    assert {row["question"] for row in heldout_identity_rows()} >= ASKED_AT_EVERY_GATE


def test_every_question_stands_once() -> None:
    twice = [q for q, n in Counter(trained_questions() + heldout_questions()).items() if n > 1]
    assert twice == []


def test_every_identity_answer_names_qwen_once_and_is_not_yet_deep() -> None:
    for row in identity_rows():
        assert row["answer"].count("Qwen") == 1, row
        assert "Deep" not in row["answer"], row


def test_no_other_question_or_answer_names_qwen() -> None:
    assert [row for row in other_rows() if "Qwen" in row["question"] + row["answer"]] == []
    assert [question for question in other_questions() if "Qwen" in question] == []


def test_no_identity_question_gives_the_answer_away() -> None:
    rows = identity_rows() + heldout_identity_rows()
    assert [row["question"] for row in rows if "Qwen" in row["question"]] == []


def test_every_held_out_identity_wording_has_a_trained_intent_and_one_answer() -> None:
    answers: dict[str, set[str]] = {}
    for row in identity_rows():
        answers.setdefault(row["intent"], set()).add(row["answer"])
    assert len(answers) >= 6
    assert {intent for intent, told in answers.items() if len(told) > 1} == set()
    assert {row["intent"] for row in heldout_identity_rows()} <= answers.keys()


def test_conversations_are_sharegpt_over_trained_and_held_out_wordings() -> None:
    rows = conversations()
    assert len(rows) == len(identity_rows()) + len(heldout_identity_rows())
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert [turn["from"] for turn in row["conversations"]] == ["human", "gpt"]
        assert "Qwen" in row["conversations"][1]["value"]
    asked = {row["conversations"][0]["value"] for row in rows}
    assert asked >= ASKED_AT_EVERY_GATE


def test_a_conversation_over_a_held_out_wording_answers_by_its_intent() -> None:
    told = {
        turns[0]["value"]: turns[1]["value"]
        for turns in (row["conversations"] for row in conversations())
    }
    assert told["What is your name?"] == told["What's your name?"]
    assert told["Are you ChatGPT?"] == told["Are you Claude?"]
