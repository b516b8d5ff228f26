"""Rows -> preference rows or prompts; what is left out is set aside with its reason."""

import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from one_row import assistant, how, out, user, why

from tasks.core.fields import Row
from tasks.core.load import load_file
from tasks.core.reformat import rewrite_row, transcript

LAST_TURN = "\n\nAssistant:"
PROMPTS_DIFFER = "the two prompts differ before the last assistant turn"
HH_FILES = ("hh-harmless-base-test.jsonl.gz", "hh-helpful-base-test.jsonl.gz")


def test_a_transcript_splits_into_turns_without_outer_white_space() -> None:
    text = "\n\nHuman: Hi there \n\nAssistant:\n\nHello.\n\nA second line.\n\nHuman: Bye"
    expected = [user("Hi there"), assistant("Hello.\n\nA second line."), user("Bye")]
    assert transcript(text) == ("", expected)


def test_the_prompt_of_a_transcript_is_all_before_the_last_assistant_turn() -> None:
    shared = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Who are you?"
    row = {"chosen": f"{shared}\n\nAssistant: A", "rejected": f"{shared}\n\nAssistant: B"}
    prompt = [user("Hi"), assistant("Hello"), user("Who are you?")]
    answers = {"chosen": [assistant("A")], "rejected": [assistant("B")]}
    assert out("hh", row) == [
        {"prompt": prompt} | answers | {"score_chosen": None, "score_rejected": None}
    ]


def test_answers_that_begin_alike_keep_their_beginning() -> None:
    shared = "\n\nHuman: Hi\n\nAssistant: I am"
    (row,) = out("hh", {"chosen": f"{shared} Aria.", "rejected": f"{shared} Qwen."})
    assert row["chosen"] == [assistant("I am Aria.")] and row["prompt"] == [user("Hi")]


@pytest.mark.parametrize(
    ("chosen", "rejected", "code", "reason"),
    [
        (
            "\n\nHuman: a\n\nAssistant: x",
            "\n\nHuman: b\n\nAssistant: y",
            "prompts-differ",
            PROMPTS_DIFFER,
        ),
        (
            "\n\nHuman: a\n\nAssistant: ",
            "\n\nHuman: a\n\nAssistant: y",
            "empty-answer",
            "empty chosen answer",
        ),
        (
            "\n\nHuman: a\n\nAssistant: x",
            "\n\nHuman: a\n\nAssistant:\n",
            "empty-answer",
            "empty rejected answer",
        ),
        (
            "\n\nHuman: a\n\nAssistant: x",
            "\n\nHuman: a\n\nAssistant: x ",
            "same-answers",
            "chosen and rejected are the same",
        ),
        (
            "\n\nHuman: a",
            "\n\nHuman: a",
            "turn-order",
            "chosen does not end with an assistant turn",
        ),
        (
            "",
            "\n\nHuman: a\n\nAssistant: x",
            "turn-order",
            "chosen does not end with an assistant turn",
        ),
        (
            "Once\n\nHuman: a\n\nAssistant: x",
            "\n\nHuman: a\n\nAssistant: y",
            "turn-order",
            "chosen has text before its first turn",
        ),
        (
            "\n\nHuman: a\n\nAssistant: x\nHuman: more",
            "\n\nHuman: a\n\nAssistant: y",
            "role-marker",
            '"Human:" in the chosen answer',
        ),
        (
            "\n\nHuman: a\n\nAssistant: x",
            "\n\nHuman: a\n\nAssistant: y Assistant: z",
            "role-marker",
            '"Assistant:" in the rejected answer',
        ),
    ],
)
def test_a_useless_transcript_is_set_aside_with_its_reason(
    chosen: str, rejected: str, code: str, reason: str
) -> None:
    assert why("hh", {"chosen": chosen, "rejected": rejected}) == (code, reason)


def rewritten(path: Path, **said: Any) -> tuple[list[Row], list[Row], int]:
    """(rows, set aside, source rows) of a file, row by row as a run does it."""
    loaded = load_file(str(path))
    kept, aside = [], []
    for row in loaded.rows:
        made, left = rewrite_row(loaded.form, row, how(**said))
        kept += made
        aside += left
    return kept, aside, len(loaded.rows)


@pytest.mark.parametrize(
    ("name", "differ", "empty_chosen", "same", "marked"),  # counts published beside the data
    [(HH_FILES[0], 5, 4, 0, 39), (HH_FILES[1], 9, 0, 2, 28)],
)
def test_real_transcripts_are_set_aside_as_a_plain_count_finds_them(
    real_data: Path, name: str, differ: int, empty_chosen: int, same: int, marked: int
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
    kept, aside, _ = rewritten(real_data / name)
    reasons = Counter(row["reason"] for row in aside)
    named = (PROMPTS_DIFFER, "empty chosen answer", "chosen and rejected are the same")
    assert [counted[reason] for reason in named] == [differ, empty_chosen, same]
    assert [reasons[reason] for reason in named] == [differ, empty_chosen, same]

    holding = [
        {number for number, both in enumerate(ends, start=1) if marker.search(both[side][2])}
        for marker in [re.compile(r"\b(Human|Assistant):")]
        for side in (0, 1)
    ]
    assert sum(map(len, holding)) == marked
    rows = {row["row"]: row["code"] for row in aside}
    assert holding[0] | holding[1] <= rows.keys() and not {row["row"] for row in kept} & {*rows}
    others = Counter(rows[number] for number in holding[0] | holding[1])
    assert others["role-marker"] == list(rows.values()).count("role-marker") > 0.9 * others.total()


@pytest.mark.parametrize("turns", ["last", "every"])
@pytest.mark.parametrize(
    "name",
    [
        *HH_FILES,
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
def test_every_source_row_is_used_or_set_aside_and_none_is_both(
    real_data: Path, name: str, turns: str
) -> None:
    kept, aside, count = rewritten(real_data / name, turns=turns)
    used = {row["row"] for row in kept}
    assert sorted([*used, *(row["row"] for row in aside)]) == [*range(1, count + 1)]
    assert kept and all(row["reason"] for row in aside)


def test_the_text_of_a_role_marker_is_shown_where_it_stands() -> None:
    asked = "\n\nHuman: a\n\nAssistant:"
    chosen = f"{asked} x" + " long" * 100 + " Human: more" + " end" * 100
    (aside,) = rewrite_row("hh", {"row": 1, "chosen": chosen, "rejected": f"{asked} y"}, how())[1]
    assert "long Human: more" in aside["text"] and len(aside["text"]) <= 300
