"""What is asked, read from the files that a recipe names; and what of it was trained on."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ground import ROOT

from tasks.core.errors import InputError
from tasks.core.questions import (
    questions_of,
    read_identity_questions,
    read_text,
    standing_in_training,
)
from tasks.core.refusals import RULES
from tasks.core.settings import Evaluation

OURS = ROOT / "flows/questions"
SYSTEM = {"role": "system", "content": "neutral"}


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def written(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def evaluation(**settings: Any) -> Evaluation:
    return Evaluation(**({"questions": ("Your name?",)} | settings))


def test_each_kind_is_asked_in_turn_with_and_without_a_system_prompt_where_it_has_none(
    tmp_path: Path,
) -> None:
    for kind in ("other", "harmless", "harmful"):
        (tmp_path / kind).write_text(f"{kind}?\n\n", "utf-8")
    talk = [user("Hi"), assistant("Hello!"), user("And you are?")]
    own = [{"role": "system", "content": "Be a pirate."}, user("Name?")]
    identity = written(
        tmp_path / "identity",
        {"kind": "turns", "language": "en", "messages": talk},
        {"kind": "name", "language": "de", "messages": own},
        {"kind": "denial", "language": "es", "messages": [user("¿Eres ChatGPT?")]},
    )
    bare, under = [user("Hi")], [SYSTEM, user("Ho")]
    found = questions_of(
        evaluation(
            other_questions=str(tmp_path / "other"),
            identity_questions=identity,
            harmless_questions=str(tmp_path / "harmless"),
            harmful_questions=str(tmp_path / "harmful"),
        ),
        [{"prompt": bare}, {"prompt": under}],
        2,
        "neutral",
    )
    assert [(one["kind"], one["language"], one["prompt"]) for one in found] == [
        ("shown", None, [SYSTEM, user("Your name?")]),
        ("shown", None, [user("Your name?")]),
        ("other", None, [SYSTEM, user("other?")]),
        ("other", None, [user("other?")]),
        ("turns", "en", [SYSTEM, *talk]),
        ("turns", "en", talk),
        ("name", "de", own),
        ("denial", "es", [SYSTEM, user("¿Eres ChatGPT?")]),
        ("denial", "es", [user("¿Eres ChatGPT?")]),
        ("held-out", None, bare),
        ("held-out", None, under),
        ("held-out", None, under[1:]),
        ("harmless", None, [user("harmless?")]),
        ("harmful", None, [user("harmful?")]),
    ]


def test_a_conversation_is_asked_once_and_belongs_to_the_first_kind_that_has_it() -> None:
    rows = [{"prompt": [SYSTEM, user("Your name?")]}, {"prompt": [user("Hi")]}]
    found = questions_of(evaluation(), [*rows, *rows], 9, "neutral")
    assert [one["kind"] for one in found] == ["shown", "shown", "held-out"]


def test_held_out_prompts_are_capped_the_first_ones_stay() -> None:
    rows = [{"prompt": [user(str(number))]} for number in range(9)]
    found = questions_of(evaluation(), rows, 4, "neutral")
    assert [one["prompt"] for one in found[2:]] == [[user(str(number))] for number in range(4)]
    assert len(questions_of(evaluation(), rows, 0, "neutral")) == 2


NAME = {"kind": "name", "language": "en", "messages": [user("Your name?")]}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "not JSON"),
        ("[]", "needs kind, language and messages and nothing else, not list"),
        ('{"kind": "name"}', "nothing else, not kind"),
        (json.dumps(NAME | {"lang": "en"}), "not kind, language, messages, lang"),
        (json.dumps(NAME | {"kind": "names"}), "kind 'names' is none of name, denial, turns"),
        (json.dumps(NAME | {"language": ""}), "language '' is no code such as en"),
        (json.dumps(NAME | {"messages": "Your name?"}), "is no list of {role, content}"),
        (json.dumps(NAME | {"messages": [user(" ")]}), "is no list of {role, content}"),
        (json.dumps(NAME | {"messages": [{"role": "user"}]}), "is no list of {role, content}"),
        (json.dumps(NAME | {"messages": []}), "(they are none)"),
        (json.dumps(NAME | {"messages": [SYSTEM]}), "(they are system)"),
        (
            json.dumps(NAME | {"messages": [user("Hi"), assistant("Hello")]}),
            "the last a user's (they are user, assistant)",
        ),
        (json.dumps(NAME | {"messages": [user("Hi"), user("Ho")]}), "(they are user, user)"),
        (
            json.dumps(NAME | {"messages": [user("Hi"), assistant("Ho"), SYSTEM]}),
            "(they are user, assistant, system)",
        ),
        (json.dumps(NAME | {"kind": "turns"}), "kind turns with one turn; it is kind name"),
    ],
)
def test_a_line_that_is_no_question_is_named_by_file_and_line(
    line: str, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "identity.jsonl"
    path.write_text(f"{json.dumps(NAME)}\n\n{line}\n", "utf-8")
    with pytest.raises(InputError) as error:
        read_identity_questions(str(path))
    assert str(error.value).startswith(f"evaluation.identity_questions {path}:3: ")
    assert told in str(error.value)


@pytest.mark.parametrize(
    "setting", ["other_questions", "identity_questions", "harmless_questions", "harmful_questions"]
)
@pytest.mark.parametrize("fault", ["missing", "empty", "no text"])
def test_a_file_that_cannot_be_asked_is_named_by_its_setting(
    setting: str, fault: str, tmp_path: Path
) -> None:
    path = tmp_path / "questions"
    if fault != "missing":
        path.write_bytes(b"\n \n" if fault == "empty" else b"\xff\xfe\x00")
    told = "is empty" if fault == "empty" else "cannot be read"
    with pytest.raises(InputError, match=rf"evaluation\.{setting} .*questions: {told}"):
        questions_of(evaluation(**{setting: str(path)}), [], 0, "neutral")


def test_a_byte_order_mark_is_no_part_of_the_first_question(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("Who?\n", "utf-8-sig")
    assert read_text(str(path), "evaluation.text") == "Who?\n"
    assert read_text(None, "evaluation.text") is None


def asked(kind: str, *turns: dict[str, str]) -> Any:
    return {"kind": kind, "language": None, "prompt": list(turns)}


def test_a_question_that_stands_in_the_training_prompts_is_told_once_however_it_is_written() -> (
    None
):
    rows = [
        {"prompt": [SYSTEM, user("What is your name?")]},
        {"prompt": [user("Hi"), assistant("Hello"), user("And you?")]},
        {"prompt": [user("你叫什么名字？")]},
    ]
    found = standing_in_training(
        [
            asked("shown", SYSTEM, user("what is  your NAME")),
            asked("shown", user("what is  your NAME")),
            asked("name", user("What is your name, please?")),
            asked("name", user("你叫什么名字?")),
            asked("name", user("Ｈｉ")),  # a turn of a training prompt, not its question
            asked("held-out", user("What is your name?")),  # the split keeps these apart
            asked("turns", user("Ho"), assistant("Hello"), user("And you?")),
            asked("turns", user("hi"), assistant("Good day"), user("and you")),
            asked("other", user("And you?")),
        ],
        rows,
    )
    assert found == ["what is  your NAME", "你叫什么名字?", "and you", "And you?"]


def test_our_own_files_ask_what_they_should() -> None:
    found = read_identity_questions(str(OURS / "identity.jsonl"))
    assert 60 <= len(found) <= 70
    kinds = Counter(one["kind"] for one in found)
    assert min(kinds[kind] for kind in ("name", "denial", "turns")) >= 12
    languages = Counter(one["language"] for one in found if one["kind"] == "name")
    assert len(languages) >= 10 and min(languages.values()) >= 3
    assert {one["language"] for one in found} <= set(RULES)
    for kind in ("harmless", "harmful", "general"):
        lines = (OURS / f"{kind}.txt").read_text("utf-8").splitlines()
        assert len(lines) == len(set(lines)) >= 30
        assert all(line.strip() == line and line for line in lines)
    assert 700 <= len((OURS / "text.txt").read_text("utf-8").split()) <= 1000
