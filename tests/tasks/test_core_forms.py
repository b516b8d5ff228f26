"""Rows of every published form -> rows of three forms; every defect of a row by row and column."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import InputError
from tasks.core.fields import columns_of, short
from tasks.core.forms import Loaded, checked
from tasks.core.load import load_file

PAIR = {"prompt": "Who are you?", "chosen": "I am Aria.", "rejected": "I am Qwen."}
HH = {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello", "rejected": "\n\nHuman: Hi\n\nAssistant: No"}
TALK = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}
ALPACA = {"instruction": "Add.", "input": "1 + 1", "output": "2"}


def said(role: str, *contents: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for content in contents]


QUESTION, ARIA, QWEN = (
    said("user", "Who are you?"),
    said("assistant", "I am Aria."),
    said("assistant", "I am Qwen."),
)


def load(*rows: Any) -> Loaded:
    return checked(enumerate(rows, start=1), "rows")


def faults(*rows: Any) -> list[tuple[int, str, str, str, str]]:
    columns = ("row", "column", "check", "side", "reason")
    return [tuple(one[column] for column in columns) for one in load(*rows).faults]  # type: ignore


@pytest.mark.parametrize(
    ("row", "read_as"),
    [
        (TALK, "ShareGPT"),
        ({"messages": said("user", "Hi") + said("assistant", "Hello")}, "OpenAI messages"),
        (said("user", "Hi") + said("assistant", "Hello"), "bare message lists"),
        ({"instruction": "Hi", "input": "", "output": "Hello"}, "Alpaca"),
        ({"instruction": "Hi", "output": "Hello", "input": None}, "Alpaca"),
        ({"query": "Hi", "response": "Hello", "tag": "en"}, "query/response"),
    ],
)
def test_every_form_of_a_conversation_becomes_the_same_messages(row: Any, read_as: str) -> None:
    loaded = load(row)
    assert (loaded.form, loaded.read_as, loaded.faults) == ("conversations", read_as, [])
    turns = said("user", "Hi") + said("assistant", "Hello")
    assert loaded.rows == [{"row": 1, "conversations": turns}]


FROM = [{"from": "human", "value": "Who are you?"}]
GPT = {"from": "gpt", "value": "I am Aria."}


@pytest.mark.parametrize(
    ("row", "read_as"),
    [
        (PAIR, "prompt/chosen/rejected"),
        ({"prompt": QUESTION, "chosen": ARIA, "rejected": QWEN}, "prompt/chosen/rejected"),
        ({"prompt": QUESTION, "chosen": ARIA[0], "rejected": "I am Qwen."}, "prompt/chosen/rej"),
        (PAIR | {"chosen": QUESTION + ARIA, "rejected": QUESTION + QWEN}, "prompt/chosen/rejected"),
        (PAIR | {"chosen": QUESTION + ARIA, "messages": QUESTION}, "prompt/chosen/rejected"),
        ({"chosen": QUESTION + ARIA, "rejected": QUESTION + QWEN}, "message lists"),
        ({"conversations": FROM, "chosen": GPT, "rejected": "I am Qwen."}, "ShareGPT pairs"),
        (
            {"instruction": "Who are you?", "input": "", "output": "Me."}
            | {side: PAIR[side] for side in ("chosen", "rejected")},
            "Alpaca pairs",
        ),
    ],
)
def test_every_form_of_a_pair_becomes_the_same_messages(row: Any, read_as: str) -> None:
    loaded = load(row)
    assert (loaded.form, loaded.faults) == ("pairs", []) and loaded.read_as.startswith(read_as)
    scores = {"score_chosen": None, "score_rejected": None}
    pair = {"row": 1, "prompt": QUESTION, "chosen": ARIA, "rejected": QWEN}
    assert loaded.rows == [pair | scores]


def test_transcripts_stay_text() -> None:
    loaded = load(HH)
    assert (loaded.form, loaded.read_as) == ("hh", "HH-RLHF transcripts")
    assert {side: loaded.rows[0][side] for side in HH} == HH


def test_every_known_role_becomes_one_of_three() -> None:
    roles = ["system", "human", "gpt", "user", "model", "user", "assistant"]
    (row,) = load({"conversations": [{"from": role, "value": "x"} for role in roles]}).rows
    found = [turn["role"] for turn in row["conversations"]]
    assert found == ["system", *["user", "assistant"] * 3]


def test_system_message_history_and_input_stand_around_the_instruction() -> None:
    (row,) = load(ALPACA | {"system": "Be brief.", "history": [["0 + 0", "0"]]}).rows
    before = said("system", "Be brief.") + said("user", "0 + 0") + said("assistant", "0")
    asked = said("user", "Add.\n\n1 + 1") + said("assistant", "2")
    assert row["conversations"] == before + asked


def test_a_longer_prompt_that_both_answers_repeat_is_kept_with_its_first_turns() -> None:
    shared = said("system", "Be brief.") + QUESTION + said("assistant", "Me.") + said("user", "Who")
    (row,) = load(PAIR | {"chosen": shared + ARIA, "rejected": shared + QWEN}).rows
    assert [row[side] for side in ("prompt", "chosen", "rejected")] == [shared, ARIA, QWEN]


@pytest.mark.parametrize("prompt", [{"prompt": "Something else"}, {}])
def test_answers_that_repeat_different_prompts_stay_whole(prompt: dict[str, str]) -> None:
    chosen, rejected = QUESTION + ARIA, said("user", "What?") + QWEN
    (row,) = load({"chosen": chosen, "rejected": rejected} | prompt).rows
    assert (row["chosen"], row["rejected"]) == (chosen, rejected)
    assert row["prompt"] == (said("user", "Something else") if prompt else QUESTION)


@pytest.mark.parametrize(
    ("good", "bad", "column", "side", "reason"),
    [
        (HH, HH | {"rejected": 5}, "rejected", "rejected", "`rejected` is a number, not text: 5"),
        (HH, HH | {"chosen": True}, "chosen", "chosen", "`chosen` is a boolean, not text: true"),
        (HH, HH | {"chosen": None}, "chosen", "chosen", "`chosen` is null"),
        (PAIR, PAIR | {"prompt": True}, "prompt", "prompt", "`prompt` is a boolean, not text: tr"),
        (PAIR, PAIR | {"chosen": "a\0"}, "chosen", "chosen", "`chosen` holds a NUL byte at char"),
        (PAIR, PAIR | {"chosen": [*ARIA, 7]}, "chosen", "chosen", "turn 2 of `chosen` is not {ro"),
        (PAIR, PAIR | {"prompt": ["Hi"]}, "prompt", "prompt", "turn 1 of `prompt` is not {role, "),
        (PAIR, PAIR | {"chosen": [{"role": "model", "content": 1}]}, "chosen", "chosen", "`conte"),
        (TALK, {"conversations": "Hi"}, "conversations", "prompt", "`conversations` is text, not "),
        (TALK, {"conversations": None}, "conversations", "prompt", "`conversations` is null"),
        (TALK, {"conversations": [*FROM, GPT | {"value": 1}]}, "conversations", "chosen", "`val"),
        (TALK, {"conversations": [FROM[0] | {"value": 1}]}, "conversations", "prompt", "`value` i"),
        (ALPACA, ALPACA | {"output": False}, "output", "chosen", "`output` is a boolean, not text"),
        (ALPACA, ALPACA | {"history": [["a"]]}, "history", "prompt", "entry 1 of `history` is not"),
        (ALPACA, ALPACA | {"history": "a"}, "history", "prompt", "`history` is text, not a list"),
        (QUESTION, {"a": 1}, "", "", "the row is an object, not a list: {'a': 1}"),
        (PAIR, [PAIR], "", "", "the row is a list, not an object"),
        (PAIR, "text", "", "", "the row is text, not an object: 'text'"),
        (PAIR, {"prompt": "a", "chosen": "b"}, "rejected", "rejected", "no column `rejected`; fou"),
        (HH, HH | {"prompt": "a"}, "", "", "the row is of the form prompt/chosen/rejected, the fi"),
        (TALK, TALK | {"chosen": "a"}, "chosen", "chosen", "`chosen` stands in a file of ShareGPT"),
    ],
)
def test_a_defect_is_told_by_row_column_and_side_and_the_other_rows_are_read(
    good: Any, bad: Any, column: str, side: str, reason: str
) -> None:
    loaded = load(good, bad, good)
    assert [row["row"] for row in loaded.rows] == [1, 3]
    (found,) = loaded.faults
    assert found | {"reason": "", "text": ""} == {
        **{"row": 2, "column": column, "check": "P1", "side": side},
        **{"reason": "", "text": ""},
    }
    assert found["reason"].startswith(reason)


@pytest.mark.parametrize("role", ["bot", "", None, 3, ["human"], {"a": 1}])
def test_an_unknown_role_is_a_fault_of_the_turn_order(role: object) -> None:
    turns = [*TALK["conversations"], {"from": role, "value": "x"}]
    ((row, column, check, _, reason),) = faults(TALK, {"conversations": turns})
    assert (row, column, check) == (2, "conversations", "turn_order")
    assert reason.startswith(f"unknown role {short(role)} in turn 3") and "human, user" in reason


def test_roles_are_known_in_any_case() -> None:
    roles = ["System", "Human", "GPT"]
    (row,) = load({"conversations": [{"from": role, "value": "x"} for role in roles]}).rows
    assert [turn["role"] for turn in row["conversations"]] == ["system", "user", "assistant"]


def test_a_content_in_parts_of_text_is_one_text_and_other_parts_are_no_text() -> None:
    parts = [{"type": "text", "text": "Who "}, {"type": "text", "text": "are you?"}]
    (row,) = load({"messages": [{"role": "user", "content": parts}]}).rows
    assert row["conversations"] == [{"role": "user", "content": "Who are you?"}]
    parts[0]["type"] = "image"
    (fault,) = load({"messages": [{"role": "user", "content": parts}]}).faults
    assert "is a list, not text" in fault["reason"]


def test_half_of_a_surrogate_pair_is_a_fault_before_it_breaks_a_later_stage() -> None:
    (found,) = load(PAIR, PAIR | json.loads('{"chosen": "cut \\ud83d"}')).faults
    assert "half a character (\\ud83d" in found["reason"] and found["text"].encode()


def test_all_defects_of_a_row_are_told_and_a_wholly_damaged_row_is_cut_short() -> None:
    both = faults(HH, {"chosen": None, "rejected": True})
    assert [(one[0], one[1]) for one in both] == [(2, "chosen"), (2, "rejected")]
    many = faults(PAIR, PAIR | {"chosen": list(range(100_000))})
    assert len(many) == 11 and many[-1][-1].startswith("more than 10 defects")


@pytest.mark.parametrize(
    ("rows", "own", "other"),
    [
        ((HH, TALK), "ShareGPT", "HH-RLHF transcripts"),
        ((PAIR, HH), "HH-RLHF transcripts", "prompt/chosen/rejected"),
    ],
)
def test_a_row_of_another_form_is_told_as_such_whatever_columns_it_lacks(
    rows: Any, own: str, other: str
) -> None:
    told = [one[-1] for one in faults(*rows)]
    assert told == [f"the row is of the form {own}, the file of {other}"]


def test_rows_before_the_first_that_has_a_form_are_told() -> None:
    loaded = load(7, {"chosen": None}, PAIR, PAIR)
    assert loaded.form == "pairs" and [row["row"] for row in loaded.rows] == [3, 4]
    assert sorted({one["row"] for one in loaded.faults}) == [1, 2]


def test_a_file_of_which_every_row_is_damaged_is_read_with_all_its_faults() -> None:
    loaded = load(*[{"chosen": True, "rejected": False}] * 3)
    assert loaded.rows == []
    assert Counter(one["row"] for one in loaded.faults) == {1: 2, 2: 2, 3: 2}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"chosen": HH["chosen"]}], "no column `rejected` beside `chosen`"),
        ([{"rejected": "x"}], "no column `chosen` beside `rejected`"),
        ([{"question": "a", "answer": "b"}], "of no known form; found question, answer"),
        ([{"chosen": "a", "rejected": "b"}], "of no known form"),
        ([{}], "of no known form; found no columns"),
        (["x" * 10_000], "is text, not an object"),
        ([True, 7], "the row is a boolean, not an object: true"),
        ([None], "the row is null"),
    ],
)
def test_rows_of_no_form_are_refused_with_the_known_ones(rows: list[Any], reason: str) -> None:
    with pytest.raises(InputError) as refused:
        load(*rows)
    told = str(refused.value)
    assert told.startswith("rows:1: ") and reason in told and "Alpaca (instruction" in told
    assert len(told) < 1_100


def test_values_and_columns_are_shown_in_short_however_large_they_are() -> None:
    for value in ("x" * 10_000, ["x" * 100] * 1_000, {"a": {"b": {"c": {"d": 1}}}}, 10**400):
        assert len(short(value)) <= 80
    assert (
        columns_of({f"c{n}": 0 for n in range(10)})
        == f"{', '.join(f'c{n}' for n in range(8))} and 2 more"
    )
    assert len(columns_of({"x" * 1_000: 0})) <= 40


@pytest.mark.parametrize(
    ("name", "form", "read_as", "count"),
    [
        ("chat-sharegpt.json", "conversations", "ShareGPT", 500),
        ("dpo-en-demo.json", "pairs", "ShareGPT pairs", 299),
        ("hh-harmless-base-test.jsonl.gz", "hh", "HH-RLHF transcripts", 2312),
        ("hh-helpful-base-test.jsonl.gz", "hh", "HH-RLHF transcripts", 2354),
        ("identity-alpaca.json", "conversations", "Alpaca", 91),
        ("identity-multiturn.jsonl", "conversations", "bare message lists", 1000),
        ("identity-sharegpt.json", "conversations", "ShareGPT", 937),
        ("instruction-preference.json", "pairs", "Alpaca pairs", 1100),
        ("self-cognition.jsonl", "conversations", "query/response", 134),
        ("ultrafeedback-sample.jsonl", "pairs", "prompt/chosen/rejected", 200),
    ],
)
def test_every_file_published_by_others_is_read_whole(
    real_data: Path, name: str, form: str, read_as: str, count: int
) -> None:
    loaded = load_file(str(real_data / name))
    assert (loaded.form, loaded.read_as, loaded.faults) == (form, read_as, [])
    assert [row["row"] for row in loaded.rows] == [*range(1, count + 1)]
    scored = sum(row.get("score_chosen") is not None for row in loaded.rows)
    assert scored == (count if "ultrafeedback" in name else 0)
