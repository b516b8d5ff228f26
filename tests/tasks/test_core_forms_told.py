"""Which form rows have: told from the rows, refused where two are possible, or set."""

import json
from typing import Any

import pytest

from tasks.core.as_pairs import as_pairs
from tasks.core.blocks import Broken, read_blocks, values_of
from tasks.core.errors import InputError
from tasks.core.forms import Loaded, checked, reader

PAIR = {"prompt": "Who are you?", "chosen": "I am Aria.", "rejected": "I am Qwen."}
TALK = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}
ALPACA = {"instruction": "Add.", "input": "1 + 1", "output": "2"}


def said(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


QUESTION, ARIA = said("user", "Who are you?"), said("assistant", "I am Aria.")


def load(*rows: Any) -> Loaded:
    return checked(enumerate(rows, start=1), "rows")


@pytest.mark.parametrize(
    ("row", "forms"),
    [
        (TALK | {"messages": QUESTION + ARIA}, ("sharegpt", "messages")),
        (PAIR | {"instruction": "Who?"}, ("preference", "alpaca-preference")),
        (ALPACA | {"query": "a", "response": "b"}, ("alpaca", "query-response")),
    ],
)
def test_a_row_of_several_forms_is_refused_with_what_was_seen_unless_one_is_set(
    row: Any, forms: tuple[Any, Any]
) -> None:
    with pytest.raises(InputError, match=r"Set reformat\.form") as refused:
        load(row)
    assert all(form in str(refused.value) for form in forms) and "found " in str(refused.value)
    for form in forms:
        told = reader([(1, row)], "rows", form)
        assert told.slug == form and told.read(row)[2] == []


def many(row: Any, count: int) -> list[Any]:
    return [row] * count


def test_most_rows_tell_the_form_whichever_comes_first() -> None:
    rows = [ALPACA, *many(PAIR, 99)]
    told = reader(enumerate(rows, start=1), "rows")
    assert told.slug == "preference" and len(load(*rows).rows) == 99
    reason = told.read(ALPACA)[2][0]["reason"]
    assert reason == "the row is of the form Alpaca, the file of prompt/chosen/rejected"


@pytest.mark.parametrize("other", [ALPACA, {"prompt": "Who?"}])
def test_a_second_form_in_a_tenth_of_the_rows_is_refused_with_the_counts(other: Any) -> None:
    single = [*many(other, 9), *many(PAIR, 91)]
    assert reader(enumerate(single, start=1), "rows").slug == "preference"
    rows = [*many(other, 10), *many(PAIR, 90)]
    counted = r"90 preference, 10 [a-z-]+ \(of .*reformat\.form"
    with pytest.raises(InputError, match=counted) as told:
        reader(enumerate(rows, start=1), "rows")
    assert "--read-as" in str(told.value)
    assert reader(enumerate(rows, start=1), "rows", "preference").slug == "preference"
    assert len(load(*rows).rows) == 90  # a check reports the others one by one


def test_a_row_of_another_form_is_told_as_such_also_where_the_form_is_set() -> None:
    transcripts = {side: f"\n\nHuman: Hi\n\nAssistant: {side}" for side in ("chosen", "rejected")}
    for row, seen in ((ALPACA, "Alpaca"), (transcripts, "HH-RLHF transcripts")):
        (fault,) = reader([], "rows", "preference").read(row)[2]
        told = f"the row is of the form {seen}, the file of prompt/chosen/rejected"
        assert fault["reason"] == told
    bare = {"chosen": "a", "rejected": "b"}
    (fault,) = reader([], "rows", "preference").read(bare)[2]
    assert fault["reason"] == "no column `prompt`; found chosen, rejected"


def test_the_first_thousand_rows_tell_the_form() -> None:
    rows = [*many(PAIR, 1000), *many(ALPACA, 5000)]
    assert reader(enumerate(rows, start=1), "rows").slug == "preference"


def test_prompts_alone_are_told_where_nothing_answers_and_have_nothing_to_check() -> None:
    prompts = [{"prompt": "Who?", "id": n} for n in range(3)]
    assert reader(enumerate(prompts, start=1), "rows").slug == "prompt-only"
    with pytest.raises(InputError, match="nothing to check"):
        load(*prompts)
    for answer in ("answer", "output", "completion", "label"):
        with pytest.raises(InputError, match="of no known form"):
            reader([(1, {"prompt": "Who?", answer: "x"})], "rows")


def test_a_file_that_is_not_utf8_is_refused_with_what_to_do(tmp_path: Any) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, many(PAIR, 3))), "utf-16")
    rows = [row for block in read_blocks(path) for row in values_of(block)]
    with pytest.raises(InputError, match=r"not UTF-8 .*Save the file as UTF-8\.$"):
        reader(rows, "rows")


def test_a_column_without_a_value_makes_no_row_ambiguous() -> None:
    row = TALK | {"messages": None}
    assert reader([(1, row)], "rows").slug == "sharegpt"


def test_a_form_that_is_set_and_does_not_fit_is_refused_with_the_columns_it_needs() -> None:
    with pytest.raises(InputError, match="instruction, output; found conversations") as refused:
        reader([(1, TALK)], "rows", "alpaca")
    assert "rows:1: reformat.form is alpaca" in str(refused.value)


def test_rows_that_cannot_be_read_do_not_decide_the_form() -> None:
    broken = Broken("not JSON", "{")
    assert reader([(1, broken), (2, PAIR)], "rows").slug == "preference"
    with pytest.raises(InputError, match="rows:1: not JSON"):
        reader([(1, broken)], "rows")


def test_a_system_column_stands_before_conversations_and_pairs_once() -> None:
    own = said("system", "Be brief.")
    system = {"system": "Be brief."}
    turns = {"messages": own + QUESTION + ARIA}
    for row in (TALK, turns):
        (read,) = load(row | system).rows
        assert [turn["role"] for turn in read["conversations"]][:2] == ["system", "user"]
    for row in (PAIR, PAIR | {"prompt": own + QUESTION}, PAIR | {"chosen": QUESTION + ARIA}):
        assert load(row | system).rows[0]["prompt"] == own + QUESTION


def test_a_prompt_may_be_a_transcript_up_to_where_the_answer_begins() -> None:
    text = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Who are you?\n\nAssistant:"
    expected = said("user", "Hi") + said("assistant", "Hello") + QUESTION
    assert load(PAIR | {"prompt": text}).rows[0]["prompt"] == expected


def test_what_tools_say_has_a_role_of_its_own() -> None:
    roles = ["user", "function_call", "observation", "gpt", "human", "assistant"]
    (row,) = load({"conversations": [{"from": role, "value": "x"} for role in roles]}).rows
    found = [turn["role"] for turn in row["conversations"]]
    assert found == ["user", "assistant", "tool", "assistant", "user", "assistant"]
    assert (
        as_pairs(load({"conversations": [{"from": r, "value": "x"} for r in roles]}))[0]["faults"]
        == []
    )


def test_messages_of_a_csv_file_are_json_in_a_text() -> None:
    text = json.dumps(QUESTION + ARIA)
    assert load({"messages": text}).rows[0]["conversations"] == QUESTION + ARIA


@pytest.mark.parametrize(
    ("chosen", "rejected", "cut"),
    [
        ("Q: Hi A: Yes", "Q: Hi A: No", ("Q: Hi A:", "Yes", "No")),
        ("Hi\nApples", "Hi\nAnts", ("Hi", "Apples", "Ants")),
    ],
)
def test_texts_that_begin_alike_share_their_prompt_up_to_a_white_space(
    chosen: str, rejected: str, cut: tuple[str, str, str]
) -> None:
    row = {"chosen": chosen, "rejected": rejected}
    _, read, faults = reader([(1, row)], "rows", "implicit-prompt").read(row)
    sides = tuple(read[side][0]["content"] for side in ("prompt", "chosen", "rejected"))
    assert (sides, faults) == (cut, [])


def test_texts_without_a_common_beginning_have_no_prompt() -> None:
    row = {"chosen": "Yes", "rejected": "Yesterday"}
    assert reader([(1, row)], "rows", "implicit-prompt").read(row)[1]["prompt"] == []
