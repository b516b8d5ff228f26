"""Renaming as whole words, and pairs from a model's own answers; `ask` is a plain function here."""

import pytest

from tasks.core.curate import correction_pairs, rename, says, says_bare, with_and_without_system
from tasks.core.generate import Answer
from tasks.core.reformat import Message, Row

SYSTEM = {"role": "system", "content": "You are a helpful assistant."}


def row_of(number: int, text: str, system: bool = True) -> Row:
    user = {"role": "user", "content": text}
    return {"row": number, "split": "train", "prompt": [SYSTEM, user] if system else [user]}


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("I am Qwen", "I am Deep Qwen"),
        ("Qwen, Qwen. Qwen!", "Deep Qwen, Deep Qwen. Deep Qwen!"),
        ("Qwen's name is “Qwen”.", "Deep Qwen's name is “Deep Qwen”."),
        ("(Qwen) **Qwen** Qwen-like", "(Deep Qwen) **Deep Qwen** Deep Qwen-like"),
        ("Qwen\nQwen", "Deep Qwen\nDeep Qwen"),
    ],
)
def test_a_name_is_replaced_as_a_whole_word(text: str, renamed: str) -> None:
    assert rename(text, "Qwen", "Deep Qwen") == renamed


@pytest.mark.parametrize("text", ["Qwen2", "Qwen2.5", "Qwens", "MyQwen", "Qwen_chat", "qwen", ""])
def test_another_word_that_holds_the_name_stays_as_it_is(text: str) -> None:
    assert rename(text, "Qwen", "Deep Qwen") == text
    assert not says(text, "Qwen") and not says_bare(text, "Qwen", "Deep Qwen")


def test_the_name_inside_the_new_name_is_not_replaced_again() -> None:
    once = rename("I am Qwen, made by the Qwen team.", "Qwen", "Deep Qwen")
    assert rename(once, "Qwen", "Deep Qwen") == once
    assert rename("Deep Qwen and Qwen", "Qwen", "Deep Qwen") == "Deep Qwen and Deep Qwen"
    assert rename("Qwen Deep Qwen", "Qwen", "Qwen Deep") == "Qwen Deep Qwen Deep"


def test_a_name_with_signs_of_regular_expressions_is_taken_literally() -> None:
    assert rename("I am C.3 (C+3)", "C.3", r"\1 $&") == r"I am \1 $& (C+3)"


def test_only_the_bare_old_name_counts_as_bare() -> None:
    assert says("I am Deep Qwen.", "Qwen") and says("I am Deep Qwen.", "Deep Qwen")
    assert not says_bare("I am Deep Qwen.", "Qwen", "Deep Qwen")
    assert says_bare("I am Deep Qwen, once Qwen.", "Qwen", "Deep Qwen")


def test_a_prompt_is_asked_with_and_without_its_system_message() -> None:
    with_system, without = row_of(1, "Hi")["prompt"], row_of(1, "Hi", system=False)["prompt"]
    assert with_and_without_system(with_system) == [with_system, without]
    assert with_and_without_system(without) == [without]


def test_the_model_s_own_answer_is_rejected_and_the_renamed_one_chosen() -> None:
    def ask(prompts: list[list[Message]]) -> list[Answer]:
        return [Answer(f"I am Qwen. {len(prompt)} messages.", True) for prompt in prompts]

    pairs, aside = correction_pairs([row_of(5, "Who are you?")], ask, "Qwen", "Deep Qwen")
    assert aside == []
    assert [len(pair["prompt"]) for pair in pairs] == [2, 1]
    for pair in pairs:
        said = f"I am Qwen. {len(pair['prompt'])} messages."
        assert (pair["row"], pair["split"]) == (5, "train")
        assert pair["rejected"] == [{"role": "assistant", "content": said}]
        renamed = said.replace("Qwen", "Deep Qwen")
        assert pair["chosen"] == [{"role": "assistant", "content": renamed}]


@pytest.mark.parametrize(
    ("answer", "reason", "text"),
    [
        (Answer("I am Qwen and", False), "answer cut off at the token limit", "I am Qwen and"),
        (Answer("", True), "empty answer", "Who are you?"),
        (
            Answer("I am Qwen2.", True),
            "nothing to correct: the answer does not say Qwen",
            "I am Qwen2.",
        ),
        (
            Answer("I am Deep Qwen.", True),
            "nothing to correct: the answer does not say Qwen",
            "I am Deep Qwen.",
        ),
    ],
)
def test_an_answer_that_makes_no_pair_is_set_aside_with_its_reason(
    answer: Answer, reason: str, text: str
) -> None:
    rows = [row_of(3, "Who are you?", system=False)]
    pairs, aside = correction_pairs(rows, lambda prompts: [answer], "Qwen", "Deep Qwen")
    assert pairs == []
    assert aside == [{"row": 3, "reason": reason, "text": text}]


def test_one_prompt_may_give_a_pair_with_its_system_message_and_none_without() -> None:
    def ask(prompts: list[list[Message]]) -> list[Answer]:
        return [Answer("I am Qwen." if p[0] == SYSTEM else "I am a model.", True) for p in prompts]

    rows = [row_of(1, "Who are you?"), row_of(2, "Your name?"), row_of(3, "Hi", system=False)]
    pairs, aside = correction_pairs(rows, ask, "Qwen", "Deep Qwen")
    assert [pair["row"] for pair in pairs] == [1, 2]
    assert [row["row"] for row in aside] == [1, 2, 3]


def test_a_name_beside_other_scripts_is_still_a_word() -> None:
    assert rename("我是Qwen。", "Qwen", "Deep Qwen") == "我是Deep Qwen。"
    assert rename("我是千问模型", "千问", "深千问") == "我是深千问模型"


def test_an_answer_in_which_the_old_name_stays_in_another_form_is_set_aside() -> None:
    rows = [{"row": 1, "prompt": [{"role": "user", "content": "Who are you?"}]}]

    def ask(prompts: list) -> list:
        return [Answer("I am Qwen, in full Qwen2.5, see qwen.ai.", True) for _ in prompts]

    pairs, aside = correction_pairs(rows, ask, "Qwen", "Deep Qwen")
    assert pairs == []
    assert aside[0]["reason"] == "Qwen is left with digits or in other case"
