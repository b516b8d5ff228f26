"""Forms in which conversations and ready pairs are published: columns that tell one, and readers.

in   a row of a published form, the names of its columns there
out  {"conversations": [message]}, transcripts, or a pair, as tasks.core.forms describes them;
     what is wrong with the row goes to the list of faults
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

from tasks.core.fields import (
    UNREADABLE,
    Faults,
    Form,
    Message,
    Row,
    add_fault,
    is_not,
    message,
    read_messages,
    read_said,
    read_scores,
    read_text,
    short,
)
from tasks.core.form_names import FormName
from tasks.core.reformat import transcript
from tasks.core.repeated import without_prompt

Names = tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """A published form. A column `a|b` goes by either name; the first that is there counts."""

    slug: FormName
    read_as: str
    form: Form
    columns: Names
    read: Callable[[Any, Names, Faults], Row]
    fits: Callable[[Any], bool] = lambda row: True  # what its columns alone do not tell

    @cached_property
    def known(self) -> list[list[str]]:
        return [column.split("|") for column in self.columns]

    def names(self, row: Row) -> Names:
        """The names of its columns in a row, the first known name of one that is missing."""
        return tuple(next((n for n in names if n in row), names[0]) for names in self.known)

    def has_columns(self, row: Any) -> bool:
        return isinstance(row, dict) and all(
            any(name in row for name in names) for names in self.known
        )


def _conversation(row: Row, names: Names, found: Faults) -> Row:
    turns = read_messages(row[names[0]], names[0], found)
    return {"conversations": _after_system(row, turns, found)}


def _message_list(row: list[Any], _: Names, found: Faults) -> Row:
    return {"conversations": read_messages(row, "messages", found)}


def _question_and_answer(row: Row, names: Names, found: Faults) -> Row:
    question, answer = names
    asked = read_asked(row, question, found)
    return {"conversations": asked + read_said(row, answer, "assistant", found)}


def _transcripts(row: Row, names: Names, found: Faults) -> Row:
    texts: Row = {side: read_text(row[side], f"`{side}`", side, found) for side in names}
    return texts | read_scores(row, found)


def _prompt_only(row: Row, names: Names, found: Faults) -> Row:
    if names[0] == "instruction":
        turns = read_asked(row, names[0], found)
    else:
        turns = _after_system(row, read_prompt(row, names[0], found), found)
    return {"conversations": turns, "is_prompt": True}


def _prompted(row: Row, names: Names, found: Faults) -> Row:
    return pair_of(read_prompt(row, names[0], found), row, names[1:], found)


def _asked_pair(row: Row, names: Names, found: Faults) -> Row:
    return pair_of(read_asked(row, names[0], found), row, names[1:], found)


def _talked_pair(row: Row, names: Names, found: Faults) -> Row:
    return pair_of(read_messages(row[names[0]], names[0], found), row, names[1:], found)


def _unprompted(row: Row, names: Names, found: Faults) -> Row:
    return pair_of([], row, names, found)


def _maybe_prompted(row: Row, names: Names, found: Faults) -> Row:
    prompt = read_prompt(row, "prompt", found) if row.get("prompt") else []
    return pair_of(prompt, row, names, found)


def _same_beginning(row: Row, names: Names, found: Faults) -> Row:
    """Two texts that begin alike: the prompt is what they share, up to a white space."""
    texts = {side: read_text(row[side], f"`{side}`", side, found) or "" for side in names}
    same = takewhile(lambda both: both[0] == both[1], zip(*texts.values(), strict=False))
    shared = "".join(char for char, _ in same)
    cut = max((at for at, char in enumerate(shared, start=1) if char.isspace()), default=0)
    asked = shared[:cut].strip()
    ends = {side: text[cut:] for side, text in texts.items()}
    return pair_of([message("user", asked)] if asked else [], row | ends, names, found)


def pair_of(prompt: list[Message], row: Row, names: Names, found: Faults) -> Row:
    """A prompt and the two columns of the answers, which may repeat it, as a pair with scores."""
    chosen, rejected = (read_said(row, name, "assistant", found) for name in names)
    sides = [prompt, chosen, rejected]
    lost = [bool(found) and UNREADABLE in turns for turns in sides]
    if any(lost):
        sides = [[] if gone else turns for turns, gone in zip(sides, lost, strict=True)]
    sides = without_prompt(*sides)
    if sides[0]:  # what was asked can be told without a system message that cannot be read
        asked = _after_system(row, sides[0], found)
        sides[0] = [turn for turn in asked if turn is not UNREADABLE]
    read: Row = {
        name: None if gone and not turns else turns  # the answers may repeat a prompt that is lost
        for name, turns, gone in zip(("prompt", "chosen", "rejected"), sides, lost, strict=True)
    }
    return read | read_scores(row, found)


def _after_system(row: Row, turns: list[Message], found: Faults) -> list[Message]:
    """The turns behind the row's own system message, where it has one in a column."""
    if not row.get("system") or (turns and turns[0]["role"] == "system"):
        return turns
    return [*read_said(row, "system", "system", found), *turns]


def read_prompt(row: Row, column: str, found: Faults) -> list[Message]:
    """A question, messages, or a transcript of HH-RLHF up to where the answer begins."""
    value = row[column]
    if isinstance(value, str) and value.startswith("\n\nHuman:") and "\0" not in value:
        text = read_text(value, f"`{column}`", column, found) or ""
        if text.rstrip().endswith("\n\nAssistant:"):
            return transcript(text)[1][:-1]
    return read_said(row, column, "user", found)


def read_asked(row: Row, column: str, found: Faults) -> list[Message]:
    """What was asked in one column, with the system message, the turns and the input around it."""
    turns: list[Message] = []
    if row.get("system"):
        turns += read_said(row, "system", "system", found)
    history = row.get("history") or []
    if not isinstance(history, list):
        add_fault(found, "history", "P1", f"`history` {is_not('a list', history)}", history)
        turns, history = [*turns, UNREADABLE], []
    for number, both in enumerate(history, start=1):
        where = f"entry {number} of `history`"
        if not isinstance(both, list) or len(both) != 2:
            reason = f"{where} is not a question and its answer: {short(both)}"
            add_fault(found, "history", "P1", reason, both)
            turns.append(UNREADABLE)
            continue
        for role, said in zip(("user", "assistant"), both, strict=True):
            turns.append(message(role, read_text(said, where, "history", found)))
    texts = [read_text(row[column], f"`{column}`", column, found)]
    if row.get("input") is not None:
        texts.append(read_text(row["input"], "`input`", "input", found))
    asked = None if None in texts else "\n\n".join(filter(None, texts))
    return [*turns, message("user", asked)]


def _are_transcripts(row: Row) -> bool:
    return any(isinstance(row[side], str) and "\n\nHuman:" in row[side] for side in TWO)


def _are_lists(row: Row) -> bool:
    return any(isinstance(row[side], list) for side in TWO)


def _are_texts(row: Row) -> bool:
    return all(isinstance(row[side], str) for side in TWO)


def _are_answers(row: Row) -> bool:
    """Neither side is a transcript or repeats a prompt, so that it must stand in its own column."""
    first = [row[side][0] for side in TWO if isinstance(row[side], list) and row[side]]
    repeats = any(isinstance(turn, dict) and turn.get("role") != "assistant" for turn in first)
    return not repeats and not _are_transcripts(row)


def _has_no_answer(row: Row) -> bool:
    return ANSWERED.isdisjoint(row)


def _is_talk(row: Any) -> bool:
    if not isinstance(row, list) or not row:
        return False
    return isinstance(row[0], dict) and ("role" in row[0] or "from" in row[0])


TWO = ("chosen", "rejected")
TRANSCRIPTS = Shape("hh-rlhf", "HH-RLHF transcripts", "hh", TWO, _transcripts, _are_transcripts)
SAME_BEGINNING = Shape(  # told by nothing: any two texts may begin alike
    "implicit-prompt", "texts that begin alike", "pairs", TWO, _same_beginning, _are_texts
)
# Columns in which published sets answer: prompts beside one are not prompts alone.
ANSWERED = frozenset(
    (
        *("answer", "answers", "chosen", "completion", "completions", "generation", "generations"),
        *("label", "output", "outputs", "rejected", "response", "responses", "solution", "target"),
    )
)
PROMPT_ONLY = Shape(  # told only of files in which no other form is to be seen
    "prompt-only",
    "prompts alone",
    "conversations",
    ("prompt|question|instruction",),
    _prompt_only,
    _has_no_answer,
)
MESSAGE_LISTS = Shape(
    "message-list", "bare message lists", "conversations", (), _message_list, _is_talk
)
TALKS = (
    Shape("sharegpt", "ShareGPT", "conversations", ("conversations|conversation",), _conversation),
    Shape("messages", "OpenAI messages", "conversations", ("messages",), _conversation),
    Shape("alpaca", "Alpaca", "conversations", ("instruction", "output"), _question_and_answer),
    Shape(
        "query-response",
        "query/response",
        "conversations",
        ("query", "response"),
        _question_and_answer,
    ),
)
PAIRS = (
    Shape(
        "preference",
        "prompt/chosen/rejected",
        "pairs",
        ("prompt|question", *TWO),
        _prompted,
    ),
    Shape(
        "preference",
        "input/chosen/rejected",
        "pairs",
        ("input", *TWO),
        _prompted,
        lambda row: "instruction" not in row,
    ),
    Shape("sharegpt-preference", "ShareGPT pairs", "pairs", ("conversations", *TWO), _talked_pair),
    Shape(
        "sharegpt-preference",
        "messages/chosen/rejected",
        "pairs",
        ("messages", *TWO),
        _talked_pair,
        _are_answers,
    ),
    Shape("alpaca-preference", "Alpaca pairs", "pairs", ("instruction", *TWO), _asked_pair),
    Shape(
        "chosen-messages",
        "chosen_messages/rejected_messages",
        "pairs",
        ("chosen_messages", "rejected_messages"),
        _maybe_prompted,
    ),
    TRANSCRIPTS,
    Shape("implicit-prompt", "message lists", "pairs", TWO, _unprompted, _are_lists),
)
