"""Answers that repeat their prompt lose it; answers that merely begin with its words do not."""

from typing import Any

import pytest

from tasks.core.forms import reader

LONG = "Tell me a story now"
TURNS = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
TURNS += [{"role": "user", "content": "c"}]


def answers(row: dict[str, Any]) -> list[str]:
    _, read, faults = reader([(1, row)], "rows").read(row)
    assert faults == []
    return [read[side][-1]["content"] for side in ("chosen", "rejected")]


def talk(*turns: str) -> str:
    return "".join(f"\n\n{'Assistant' if at % 2 else 'Human'}: {t}" for at, t in enumerate(turns))


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected"),
    [
        ("Q?", "Q? A", "Q?\nB"),
        (LONG, f" {LONG} A", f"{LONG}\n\nB"),
        ("Q?", talk("Q?", "A"), talk("Q?", "B")),
        (talk("Q?") + "\n\nAssistant:", talk("Q?", "A"), talk("Q?", "B")),
        (TURNS, talk("a", "b", "c", "A"), talk("a", "b", "c", "B")),
        ([{"role": "system", "content": "s"}, *TURNS[:1]], talk("a", "A"), talk("a", "B")),
    ],
)
def test_a_prompt_that_both_answers_repeat_as_text_is_cut_off(
    prompt: Any, chosen: str, rejected: str
) -> None:
    assert answers({"prompt": prompt, "chosen": chosen, "rejected": rejected}) == ["A", "B"]


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected"),
    [
        ("Q?", "Q? A", "B"),  # one alone
        ("Hi", "Hi there", "Hi you"),  # so one answers
        ("Q?", "Q?A", "Q?B"),
        ("Q?", "Q?", "Q? B"),
        ("Q?", talk("other", "A"), talk("other", "B")),
        ("", " A", " B"),
    ],
)
def test_other_answers_stay_as_they_are(prompt: str, chosen: str, rejected: str) -> None:
    row = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    assert answers(row) == [chosen, rejected]


def test_answers_with_a_verdict_lose_the_prompt_too() -> None:
    said = ["Q? A", "Q? B"]
    assert answers({"prompt": "Q?", "responses": said, "scores": [2, 1]}) == ["A", "B"]
    vote = {"prompt": "Q?", "response_a": said[0], "response_b": said[1], "winner": "a"}
    assert answers(vote) == ["A", "B"]
