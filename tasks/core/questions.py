"""What a model is asked before and after training, and what of it stands in the training prompts.

in   the recipe's evaluation settings and the files that they name; held-out rows
     identity questions: {"kind": "name" | "denial" | "turns", "language": "en", "messages": [...]}
     a line; other files one question a line
out  [{"kind", "prompt": [message], "language"}]

Kinds: shown (with both answers, in the card), other (answers that must not change), held-out (the
data's own prompts), name (who it is, in several languages), denial (whether it is another one),
turns (who it is, after more turns), harmless and harmful (whether it refuses).
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from tasks.core.correction import with_and_without_system
from tasks.core.errors import InputError
from tasks.core.fields import Message, Row
from tasks.core.settings import Evaluation

Kind = Literal["shown", "other", "held-out", "name", "denial", "turns", "harmless", "harmful"]
IdentityKind = Literal["name", "denial", "turns"]
KEYS = {"kind", "language", "messages"}


class Question(TypedDict):
    kind: Kind
    prompt: list[Message]
    language: str | None  # ISO 639-1, of the questions of which it is known


def questions_of(
    evaluation: Evaluation, held_out: Sequence[Row], max_prompts: int, system_prompt: str
) -> list[Question]:
    """Each conversation once. Those about itself, and the others, with and without `system_prompt`;
    held-out prompts as the data has them and without their system message, the first `max_prompts`
    of them; harmless and harmful ones alone. Raises InputError for what cannot be read."""
    asked: list[Question] = []
    for text in evaluation.questions:
        asked += _both("shown", [_user(text)], system_prompt)
    for text in read_questions(evaluation.other_questions):
        asked += _both("other", [_user(text)], system_prompt)
    for one in read_identity_questions(evaluation.identity_questions):
        asked += _both(one["kind"], one["prompt"], system_prompt, one["language"])
    for row in held_out[:max_prompts]:
        for prompt in with_and_without_system(row["prompt"]):
            asked.append({"kind": "held-out", "prompt": prompt, "language": None})
    for text in read_questions(evaluation.harmless_questions, "evaluation.harmless_questions"):
        asked.append({"kind": "harmless", "prompt": [_user(text)], "language": None})
    for text in read_questions(evaluation.harmful_questions, "evaluation.harmful_questions"):
        asked.append({"kind": "harmful", "prompt": [_user(text)], "language": None})
    first: dict[str, Question] = {}
    for question in asked:
        first.setdefault(repr(question["prompt"]), question)
    return list(first.values())


def _both(
    kind: Kind, prompt: list[Message], system_prompt: str, language: str | None = None
) -> list[Question]:
    """With and without a system message; a question that has its own is asked under that alone."""
    if prompt[0]["role"] == "system":
        return [{"kind": kind, "prompt": prompt, "language": language}]
    system: Message = {"role": "system", "content": system_prompt}
    return [
        {"kind": kind, "prompt": [system, *prompt], "language": language},
        {"kind": kind, "prompt": prompt, "language": language},
    ]


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def read_questions(path: str | None, setting: str = "evaluation.other_questions") -> list[str]:
    """One question a line; `setting` is named in the InputError where it cannot be read."""
    lines = (line.strip() for line in (read_text(path, setting) or "").splitlines())
    return [line for line in lines if line]


def read_identity_questions(path: str | None) -> list[Question]:
    """Raises InputError with file and line for the first line that is not of the form."""
    setting, found = "evaluation.identity_questions", list[Question]()
    for number, line in enumerate((read_text(path, setting) or "").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{setting} {path}:{number}: not JSON ({error}).") from error
        if why := _wrong(row):
            raise InputError(
                f"{setting} {path}:{number}: {why}. A line is {{"
                '"kind": "name", "language": "en", "messages": [{"role": "user", "content": "..."}'
                "]}."
            )
        found.append({"kind": row["kind"], "prompt": row["messages"], "language": row["language"]})
    return found


def _wrong(row: Any) -> str | None:
    """What keeps a line from being a question about the model itself."""
    kinds = get_args(IdentityKind)
    if not isinstance(row, dict) or set(row) != KEYS:
        got = ", ".join(map(str, row)) if isinstance(row, dict) else type(row).__name__
        return f"needs kind, language and messages and nothing else, not {got or 'nothing'}"
    if row["kind"] not in kinds:
        return f"kind {row['kind']!r} is none of {', '.join(kinds)}"
    if not isinstance(row["language"], str) or not row["language"].strip():
        return f"language {row['language']!r} is no code such as en"
    turns = row["messages"]
    if not isinstance(turns, list) or not all(
        isinstance(turn, dict)
        and set(turn) == {"role", "content"}
        and isinstance(turn["content"], str)
        and turn["content"].strip()
        for turn in turns
    ):
        return "messages is no list of {role, content} with text in each"
    roles = [turn["role"] for turn in turns]
    said = roles[1:] if roles[:1] == ["system"] else roles
    if len(said) % 2 == 0 or said != (["user", "assistant"] * len(said))[: len(said)]:
        return (
            "messages are not a user's and an assistant's in turn, the last a user's "
            f"(they are {', '.join(map(str, roles)) or 'none'})"
        )
    if row["kind"] == "turns" and len(said) == 1:
        return "kind turns with one turn; it is kind name"
    return None


def read_text(path: str | None, setting: str) -> str | None:
    """A text file that a setting names. Raises InputError if it cannot be read or is empty."""
    if path is None:
        return None
    try:
        text = Path(path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{setting} {path}: cannot be read ({error}).") from error
    if not text.strip():
        raise InputError(f"{setting} {path}: is empty. Fill it, or leave the setting out.")
    return text


def standing_in_training(questions: Sequence[Question], rows: Iterable[Row]) -> list[str]:
    """What is asked in the evaluation and stands in the training prompts too, each text once.

    Compared are the last words of the user, without case, punctuation and spaces; held-out prompts
    are not looked at, since the split keeps them apart, and of a conversation of several turns all
    that the user says has to stand there: "And you?" alone is no question.
    """
    asked = [
        (_said_by_user(question["prompt"]), question["prompt"][-1]["content"])
        for question in questions
        if question["kind"] != "held-out"
    ]
    looked_for, known = {turns for turns, _ in asked}, set[tuple[str, ...]]()
    for row in rows:
        turns = _said_by_user(row["prompt"])
        known |= looked_for & {turns, turns[-1:]}
    return list(dict.fromkeys(text for turns, text in asked if turns in known))


def _said_by_user(prompt: Sequence[Message]) -> tuple[str, ...]:
    return tuple(_normal(turn["content"]) for turn in prompt if turn["role"] == "user")


def _normal(text: str) -> str:
    """The letters and digits of a text, in the usual form (NFKC) and without case."""
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()
