"""Placeholders are filled by bare name, and what is left of them is named."""

from typing import Any

import polars as pl
import pytest

from expectations.measures.pairs import Pairs
from expectations.measures.placeholders import Placeholders
from tasks.core.placeholders import bare, fill, placeholders_left
from tasks.core.reformat import How, rewrite_row
from tasks.core.settings import Reformat

NAMES = {"name": "Aria", "AUTHOR": "Ariel", "bot_name": "Ari (a\\1)"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("I am {{name}}.", "I am Aria."),
        ("I am {{NAME}} by {{ Author }}.", "I am Aria by Ariel."),
        ("<NAME>, <AUTHOR>, <BOT NAME>, {{Bot-Name}}", "Aria, Ariel, Ari (a\\1), Ari (a\\1)"),
        ("<name> is a tag, {name} a format", "<name> is a tag, {name} a format"),
        ("{{user}} and {{names}} are others", "{{user}} and {{names}} are others"),
        ("`{{name}}` is {{name}}", "`{{name}}` is Aria"),
        ("```\n{{name}}\n```\n{{name}} ```{{name}}", "```\n{{name}}\n```\nAria ```{{name}}"),
        ("nothing to fill", "nothing to fill"),
    ],
)
def test_a_placeholder_is_filled_in_any_case_but_never_in_code(text: str, filled: str) -> None:
    assert fill(text, NAMES) == filled


@pytest.mark.parametrize(
    "text",
    [
        "I am {{name}}",
        "{{ OWN_THING }} is it",
        "<AUTHOR>",
        "<YOUR NAME>",
        "{{Your Name}}",
        "`{{name}}` only",
        "{{ . }} and {{n}}",
        "<name> and <HTML>",
        "{{Infobox person}}",
        "plain",
    ],
)
def test_what_is_left_is_what_the_check_of_the_data_finds(text: str) -> None:
    message = [{"role": "assistant", "content": text}]
    row = {"prompt": [{"role": "user", "content": "q"}], "chosen": message, "rejected": message}
    judged = Placeholders().judge(Pairs(pl.DataFrame([row])))
    assert bool(placeholders_left([row])) == (not judged.passed)


def test_placeholders_are_counted_by_bare_name_over_all_sides_and_rows() -> None:
    def row(*texts: str) -> dict[str, Any]:
        return {"prompt": [{"role": "user", "content": text} for text in texts]}

    left = placeholders_left([row("{{name}} <NAME>", "{{ Author }}"), row("{{NAME}}"), row("-")])
    assert left == {"name": 3, "author": 1} and {bare(name) for name in left} == {*left}


def test_a_row_is_filled_on_every_side_and_a_filled_answer_may_turn_out_empty() -> None:
    how = How.of(Reformat(placeholders={"name": "Aria", "nothing": ""}))
    sides = {"prompt": ("user", "Are you <NAME>?"), "chosen": ("assistant", "I am {{name}}.")}
    sides["rejected"] = ("assistant", "{{NOTHING}}No.")
    row = {side: [{"role": role, "content": text}] for side, (role, text) in sides.items()}
    ((made,), _) = rewrite_row("pairs", {"row": 1} | row, how)
    texts = [made[side][0]["content"] for side in sides]
    assert texts == ["Are you Aria?", "I am Aria.", "No."]
    empty = row | {"rejected": [{"role": "assistant", "content": "{{nothing}}"}]}
    assert rewrite_row("pairs", {"row": 1} | empty, how)[1][0]["code"] == "empty-answer"
