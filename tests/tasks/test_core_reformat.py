"""Raw rows -> preference rows or prompts; what is left out is set aside with its reason."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from tasks.core.load import load_file
from tasks.core.reformat import (
    Message,
    Row,
    prompt_fault,
    prompts_from_conversations,
    reformat,
    transcript,
)

LAST_TURN = "\n\nAssistant:"
PROMPTS_DIFFER = "the two prompts differ before the last assistant turn"


def user(content: str) -> Message:
    return {"role": "user", "content": content}


def assistant(content: str) -> Message:
    return {"role": "assistant", "content": content}


def system(content: str) -> Message:
    return {"role": "system", "content": content}


def only_reason(form: str, row: Row) -> str:
    """The reason one row was set aside for; it must be the one row set aside."""
    kept, aside = reformat(form, [{"row": 7} | row], "")
    assert kept == [] and [one["row"] for one in aside] == [7]
    return str(aside[0]["reason"])


def test_a_transcript_splits_into_turns_without_outer_white_space() -> None:
    text = "\n\nHuman: Hi there \n\nAssistant:\n\nHello.\n\nA second line.\n\nHuman: Bye"
    expected = [user("Hi there"), assistant("Hello.\n\nA second line."), user("Bye")]
    assert transcript(text) == ("", expected)


def test_the_prompt_of_a_transcript_is_all_before_the_last_assistant_turn() -> None:
    shared = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Who are you?"
    row = {"row": 3, "chosen": f"{shared}\n\nAssistant: A", "rejected": f"{shared}\n\nAssistant: B"}
    kept, aside = reformat("hh", [row], "")
    prompt = [user("Hi"), assistant("Hello"), user("Who are you?")]
    assert kept == [
        {"row": 3, "prompt": prompt, "chosen": [assistant("A")], "rejected": [assistant("B")]}
    ]
    assert aside == []


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        ("\n\nHuman: a\n\nAssistant: x", "\n\nHuman: b\n\nAssistant: y", PROMPTS_DIFFER),
        ("\n\nHuman: a\n\nAssistant: ", "\n\nHuman: a\n\nAssistant: y", "empty chosen answer"),
        ("\n\nHuman: a\n\nAssistant: x", "\n\nHuman: a\n\nAssistant:\n", "empty rejected answer"),
        (
            "\n\nHuman: a\n\nAssistant: x",
            "\n\nHuman: a\n\nAssistant: x ",
            "chosen and rejected are the same",
        ),
        ("\n\nHuman: a", "\n\nHuman: a", "chosen does not end with an assistant turn"),
        ("", "\n\nHuman: a\n\nAssistant: x", "chosen does not end with an assistant turn"),
    ],
)
def test_a_useless_transcript_is_set_aside_with_its_reason(
    chosen: str, rejected: str, reason: str
) -> None:
    assert only_reason("hh", {"chosen": chosen, "rejected": rejected}) == reason


@pytest.mark.parametrize(
    ("name", "differ", "empty_chosen", "same"),
    [("hh-harmless-base-test.jsonl.gz", 5, 4, 0), ("hh-helpful-base-test.jsonl.gz", 9, 0, 2)],
)
def test_real_transcripts_are_set_aside_as_a_plain_count_finds_them(
    real_data: Path, name: str, differ: int, empty_chosen: int, same: int
) -> None:
    with gzip.open(real_data / name, "rt", encoding="utf-8") as lines:
        raw = [json.loads(line) for line in lines]
    ends = [[row[side].rpartition(LAST_TURN) for side in ("chosen", "rejected")] for row in raw]
    counted = Counter(
        PROMPTS_DIFFER
        if chosen[0] != rejected[0]
        else "empty chosen answer"
        if not chosen[2].strip()
        else "chosen and rejected are the same"
        if chosen[2].strip() == rejected[2].strip()
        else "other"
        for chosen, rejected in ends
    )
    loaded = load_file(real_data / name)
    _, aside = reformat(loaded.form, loaded.rows, "")
    reasons = Counter(row["reason"] for row in aside)
    named = (PROMPTS_DIFFER, "empty chosen answer", "chosen and rejected are the same")
    assert [counted[reason] for reason in named] == [differ, empty_chosen, same]
    assert [reasons[reason] for reason in named] == [differ, empty_chosen, same]


@pytest.mark.parametrize(
    "name",
    [
        "hh-harmless-base-test.jsonl.gz",
        "hh-helpful-base-test.jsonl.gz",
        "identity-sharegpt.json",
        "chat-sharegpt.json",
        "ultrafeedback-sample.jsonl",
        "dpo-en-demo.json",
        "identity-alpaca.json",
        "identity-multiturn.jsonl",
        "instruction-preference.json",
        "self-cognition.jsonl",
    ],
)
def test_every_source_row_is_used_or_set_aside_and_none_is_both(real_data: Path, name: str) -> None:
    loaded = load_file(real_data / name)
    kept, aside = reformat(loaded.form, loaded.rows, "You are a helpful assistant.")
    assert sorted(row["row"] for row in kept + aside) == [row["row"] for row in loaded.rows]
    assert kept and all(row["reason"] for row in aside)


def test_a_conversation_gives_its_last_human_turn_under_the_neutral_system_prompt() -> None:
    turns = [system("You are Qwen."), user("Hi"), assistant("Hello"), user(" Who are you? ")]
    row = {"row": 4, "conversations": [*turns, assistant("I am Qwen.")]}
    kept, aside = prompts_from_conversations([row], "You are a helpful assistant.")
    prompt = [system("You are a helpful assistant."), user("Who are you?")]
    assert kept == [{"row": 4, "prompt": prompt}] and aside == []


def test_each_prompt_is_kept_once_and_a_repeated_one_names_the_first() -> None:
    texts = ["Who are you?", "What can you do?", "Who are you? ", "Who are you?"]
    rows = [{"row": n, "conversations": [user(text)]} for n, text in enumerate(texts, start=10)]
    kept, aside = prompts_from_conversations(rows, "neutral")
    assert [row["row"] for row in kept] == [10, 11]
    assert [(row["row"], row["reason"]) for row in aside] == [
        (12, "prompt repeated, first in row 10"),
        (13, "prompt repeated, first in row 10"),
    ]


@pytest.mark.parametrize(
    ("turns", "reason"),
    [([], "no human turn"), ([assistant("Hi")], "no human turn"), ([user("  ")], "empty prompt")],
)
def test_a_conversation_without_a_question_is_set_aside(turns: list[Message], reason: str) -> None:
    assert only_reason("conversations", {"conversations": turns}) == reason


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"prompt": []}, "the prompt does not end with a user turn"),
        ({"chosen": []}, "chosen is not one assistant turn"),
        ({"rejected": [user("x")]}, "rejected is not one assistant turn"),
        ({"chosen": [assistant("x"), assistant("y")]}, "chosen is not one assistant turn"),
        ({"chosen": [assistant(" \n")]}, "empty chosen answer"),
        ({"chosen": [assistant("b ")]}, "chosen and rejected are the same"),
    ],
)
def test_a_ready_pair_that_teaches_nothing_is_set_aside(changed: Row, reason: str) -> None:
    row = {"prompt": [user("q")], "chosen": [assistant("a")], "rejected": [assistant("b")]}
    assert only_reason("pairs", row | changed) == reason


def test_a_ready_pair_goes_on_as_it_came() -> None:
    row = {"row": 1, "prompt": [user("q")], "chosen": [assistant(" a")]}
    row["rejected"] = [assistant("b")]
    assert reformat("pairs", [row], "") == ([row], [])


@pytest.mark.parametrize(
    ("prompt", "fault"),
    [
        ([user("a")], None),
        ([system(""), user("a")], None),
        ([user("a"), assistant("b"), user("c")], None),
        ([], "the prompt does not end with a user turn"),
        ([system("s")], "the prompt does not end with a user turn"),
        ([user("a"), assistant("b")], "the prompt does not end with a user turn"),
        ([user("a"), user("b")], "turn 2 of the prompt is user, not assistant"),
        ([assistant("a"), user("b")], "turn 1 of the prompt is assistant, not user"),
        (
            [user("a"), system("s"), user("b")],
            "turn 2 of the prompt is system, not assistant",
        ),
        ([system("s"), user("a"), assistant(" "), user("b")], "turn 2 of the prompt is empty"),
    ],
)
def test_a_prompt_s_fault_is_named_by_its_turn_after_the_system_message(
    prompt: list[Message], fault: str | None
) -> None:
    assert prompt_fault(prompt) == fault


def test_the_text_set_aside_is_long_enough_to_find_and_no_longer() -> None:
    chosen = "\n\nHuman: " + "long " * 1000 + "end"
    _, aside = reformat("hh", [{"row": 1, "chosen": chosen, "rejected": chosen}], "")
    assert aside[0]["text"] == chosen[-300:]
