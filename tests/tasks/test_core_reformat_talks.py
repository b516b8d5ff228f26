"""Conversations and ready pairs, row by row: turns, system messages, tools, ties, what is left."""

from typing import Any

import pytest
from one_row import assistant, how, out, user, why

from tasks.core.fields import Message, Row
from tasks.core.forms import reader
from tasks.core.reformat import aside_of_faults, prompt_fault, rewrite_row


def system(content: str) -> Message:
    return {"role": "system", "content": content}


def tool(content: str) -> Message:
    return {"role": "tool", "content": content}


NEUTRAL = system(how().system_prompt)
PAIR = {"prompt": [user("q")], "chosen": [assistant("a")], "rejected": [assistant("b")]}
PAIR |= dict.fromkeys(("score_chosen", "score_rejected"))


TALK = [system("You are Qwen."), user("Hi"), assistant("Hello"), user(" Who are you? ")]
TALK += [assistant("I am Qwen.")]


def test_a_conversation_gives_its_last_question_under_the_neutral_system_prompt() -> None:
    made = out("conversations", {"conversations": TALK})
    assert made == [{"prompt": [NEUTRAL, user("Who are you?")]}]


def test_every_answer_of_a_conversation_is_a_row_with_what_came_before_it() -> None:
    made = out("conversations", {"conversations": TALK}, turns="every")
    first = [NEUTRAL, user("Hi")]
    assert made == [
        {"prompt": first},
        {"prompt": [*first, assistant("Hello"), user("Who are you?")]},
    ]


@pytest.mark.parametrize(
    ("said", "before"),
    [
        ("keep", [system("You are Qwen.")]),
        ("drop", []),
        ("replace", [NEUTRAL]),
        (None, [NEUTRAL]),
    ],
)
@pytest.mark.parametrize("turns", ["last", "every"])
def test_a_system_message_of_a_conversation_is_kept_replaced_or_dropped(
    said: str | None, before: list[Message], turns: str
) -> None:
    made = out("conversations", {"conversations": TALK}, system=said, turns=turns)
    assert all(row["prompt"][: len(before) + 1][:-1] == before for row in made)
    assert all(row["prompt"][len(before)]["role"] == "user" for row in made)


@pytest.mark.parametrize(
    ("said", "before"),
    [("keep", [system("s")]), (None, [system("s")]), ("drop", []), ("replace", [NEUTRAL])],
)
def test_a_system_message_of_a_pair_is_kept_replaced_or_dropped(
    said: str | None, before: list[Message]
) -> None:
    (row,) = out("pairs", PAIR | {"prompt": [system("s"), user("q")]}, system=said)
    assert row == PAIR | {"prompt": [*before, user("q")]}


def test_what_a_tool_said_stands_in_the_history_and_may_be_the_last_word_of_a_prompt() -> None:
    asked = [user("Time?"), assistant("clock()"), tool("12:00")]
    talk = [*asked, assistant("Noon."), user("And now?"), assistant("One.")]
    made = out("conversations", {"conversations": talk}, turns="every", system="drop")
    assert [row["prompt"] for row in made] == [asked[:1], asked, talk[:5]]
    assert out("pairs", PAIR | {"prompt": asked}) == [PAIR | {"prompt": asked}]


def test_a_last_question_that_nobody_answered_is_asked_unless_every_answer_is_wanted() -> None:
    talk = {"conversations": [user("a"), assistant("x"), user("b")]}
    made = [out("conversations", talk, turns=turns, system="drop") for turns in ("last", "every")]
    assert made == [[{"prompt": [user("b")]}], [{"prompt": [user("a")]}]]


@pytest.mark.parametrize("turns", ["last", "every"])
def test_prompts_alone_keep_their_history_and_every_column_of_them_goes_by_its_name(
    turns: str,
) -> None:
    history = [user("Hi"), assistant("Hello"), user("Who are you?")]
    for value in ({"prompt": history, "id": 7}, {"question": "q"}, {"instruction": "q"}):
        read = reader([(1, value)], "rows")
        assert (read.slug, read.form) == ("prompt-only", "conversations")
        form, row, faults = read.read(value)
        asked = history if "prompt" in value else [user("q")]
        assert faults == [] and out(form, row, turns=turns) == [{"prompt": [NEUTRAL, *asked]}]


@pytest.mark.parametrize(
    ("turns", "said", "code"),
    [
        ([], "last", "no-prompt"),
        ([assistant("Hi")], "last", "no-prompt"),
        ([user("  ")], "last", "no-prompt"),
        ([user("a"), user("b")], "every", "turn-order"),
        ([user("a"), user("b"), assistant("x")], "every", "turn-order"),
        ([assistant("Hi"), user("a")], "every", "turn-order"),
        ([assistant("Hi"), user("a")], "last", "turn-order"),
        ([system("s"), assistant("Hi"), user("a"), assistant("x")], "last", "turn-order"),
        ([user("a"), assistant(""), user("b"), assistant("x")], "every", "empty-answer"),
        ([user("a"), assistant("x"), user(" "), assistant("y")], "every", "no-prompt"),
        ([user("a"), assistant("x"), user(" ")], "last", "no-prompt"),
    ],
)
def test_a_conversation_with_a_question_that_cannot_be_asked_is_set_aside_as_a_whole(
    turns: list[Message], said: str, code: str
) -> None:
    assert why("conversations", {"conversations": turns}, turns=said)[0] == code


@pytest.mark.parametrize(
    ("changed", "code", "reason"),
    [
        ({"prompt": []}, "no-prompt", "the prompt holds no user turn"),
        ({"chosen": []}, "empty-answer", "no turn in chosen"),
        ({"rejected": [user("x")]}, "turn-order", "rejected is not one assistant turn"),
        (
            {"chosen": [assistant("x"), assistant("y")]},
            "turn-order",
            "chosen is not one assistant turn",
        ),
        (
            {"chosen": [user("x"), assistant("y")]},
            "prompts-differ",
            "chosen begins with other turns than the prompt",
        ),
        ({"chosen": [assistant(" \n")]}, "empty-answer", "empty chosen answer"),
        ({"chosen": [assistant("b ")]}, "same-answers", "chosen and rejected are the same"),
        ({"tie": "the vote is for neither"}, "tie", "the vote is for neither"),
    ],
)
def test_a_ready_pair_that_teaches_nothing_is_set_aside(
    changed: Row, code: str, reason: str
) -> None:
    assert why("pairs", PAIR | changed) == (code, reason)


def test_a_ready_pair_goes_on_as_it_came() -> None:
    row = PAIR | {"chosen": [assistant(" a")]}
    for scores in ((2.0, 1.0), (1.0, 2.0)):  # the wrong way round is for the checks to tell
        scored = row | dict(zip(("score_chosen", "score_rejected"), scores, strict=True))
        assert out("pairs", scored) == [scored]


@pytest.mark.parametrize("scores", [(None, 8.0), (8.0, None), (float("nan"), 8.0), (8.0, 1e400)])
def test_a_pair_of_which_one_score_is_no_number_is_damaged(scores: tuple[Any, Any]) -> None:
    scored = PAIR | dict(zip(("score_chosen", "score_rejected"), scores, strict=True))
    code, reason = why("pairs", scored)
    bad = "score_rejected" if scores[0] == 8.0 else "score_chosen"
    assert code == "damaged" and reason.startswith(f"`{bad}` is ")
    assert reason.endswith("not a number")


@pytest.mark.parametrize(
    ("said", "is_marked"),
    [
        ("Sure.\n\nHuman: thanks\n\nAssistant: bye", True),
        ("Sure.\nHuman: thanks", True),
        ("Human: hi\n\nAssistant: hello", True),
        ("It said Human: hi.", False),  # a mention: T2 reports it
        ("The Human: a history", False),
    ],
)
def test_an_answer_of_a_ready_pair_that_goes_on_with_another_turn_is_set_aside(
    said: str, is_marked: bool
) -> None:
    for side in ("chosen", "rejected"):
        _, aside = rewrite_row("pairs", {"row": 1} | PAIR | {side: [assistant(said)]}, how())
        assert [one["code"] for one in aside] == ["role-marker"] * is_marked


@pytest.mark.parametrize(
    ("chosen", "rejected", "least", "is_tie"),
    [
        (8.0, 8.0, 0, True),
        (8.5, 8.0, 0, False),
        (8.5, 8.0, 0.5, True),
        (8.5, 8.0, 0.4, False),
        (7.0, 8.0, 0, False),  # the wrong way round, which the check of scores tells
        (None, None, 0, False),
    ],
)
def test_a_pair_with_scores_is_a_tie_unless_they_differ_by_more_than_the_least_margin(
    chosen: float | None, rejected: float | None, least: float, is_tie: bool
) -> None:
    row = PAIR | {"score_chosen": chosen, "score_rejected": rejected}
    kept, aside = rewrite_row("pairs", {"row": 1} | row, how(least_margin=least))
    assert [one["code"] for one in aside] == ["tie"] * is_tie and len(kept) == (not is_tie)


@pytest.mark.parametrize(
    ("prompt", "fault"),
    [
        ([user("a")], None),
        ([system(""), user("a")], None),
        ([user("a"), assistant("b"), user("c")], None),
        ([user("a"), assistant("b"), tool(""), tool("c"), assistant("d"), user("e")], None),
        ([], "the prompt holds no user turn"),
        ([system("s")], "the prompt holds no user turn"),
        ([user("a"), assistant("b")], "the prompt does not end with a user turn"),
        ([user("a"), user("b")], "turn 2 of the prompt is user, not assistant"),
        ([assistant("a"), user("b")], "turn 1 of the prompt is assistant, not user"),
        ([user("a"), tool("b")], "turn 2 of the prompt is tool, not assistant"),
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
    found = prompt_fault(prompt)
    assert (found.reason if found else None) == fault


def test_a_prompt_s_fault_shows_the_turn_that_is_to_blame() -> None:
    row = PAIR | {"prompt": [user("a\nb"), user("it's\nme")]}
    (aside,) = rewrite_row("pairs", {"row": 1} | row, how())[1]
    assert aside["text"] == "it's\nme"


@pytest.mark.parametrize(
    ("bad", "code", "told"),
    [
        ({"chosen": None}, "damaged", "`chosen` is null"),
        ({"chosen": [{"role": "bot", "content": "x"}]}, "turn-order", "unknown role 'bot' in"),
        ({"chosen": [*range(20)]}, "damaged", "; and 8 more"),
    ],
)
def test_a_row_with_defects_is_set_aside_with_the_first_of_them(
    bad: Row, code: str, told: str
) -> None:
    good = {"prompt": "q", "chosen": "a", "rejected": "b"}
    _, _, faults = reader([(1, good)], "rows").read(good | bad)
    aside = aside_of_faults(4, faults)
    assert (aside["row"], aside["code"]) == (4, code) and told in aside["reason"]


def test_the_text_set_aside_is_long_enough_to_find_and_no_longer() -> None:
    chosen = "\n\nHuman: " + "long " * 1000 + "end"
    row = {"row": 1, "chosen": chosen, "rejected": chosen}
    (aside,) = rewrite_row("hh", row, how())[1]
    assert aside["text"] == chosen[-300:]
