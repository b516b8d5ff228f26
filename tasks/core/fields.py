"""The values of a raw row -> messages, texts and scores, and every defect met on the way. Pure.

in   what a file holds at a column, of any type
out  messages {role, content} with one of four roles; what is wrong goes to the list of faults:
     {"column", "check", "side", "reason", "text"}: the check that promises otherwise, the side of
     the pair that it breaks ("" for the whole row), why, and enough of the value to find it
     what cannot be read leaves UNREADABLE in its place, so that the rest keeps its meaning
"""

import contextlib
import json
import reprlib
from typing import Any, Literal

from expectations.measures.tokens_in_text import without_tokens

Form = Literal["conversations", "hh", "pairs"]  # told in tasks.core.forms
Row = dict[str, Any]
Message = dict[str, str]
Faults = list[Row]

ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "observation": "tool",
    "function_call": "assistant",
}
UNREADABLE: Message = {"role": "unreadable", "content": ""}
TWO = ("chosen", "rejected")
SCORES = (  # as published sets call them; the first two columns that hold anything count
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen_rating", "rejected_rating"),
    ("chosen-rating", "rejected-rating"),
    ("rating_chosen", "rating_rejected"),
)
SCORE_COLUMNS = frozenset(column for both in SCORES for column in both)
SIDES = {
    "chosen": "chosen",
    "output": "chosen",
    "response": "chosen",
    "rejected": "rejected",
    "chosen_messages": "chosen",
    "rejected_messages": "rejected",
    **{column: side for both in SCORES for column, side in zip(both, TWO, strict=True)},
    **dict.fromkeys(("", "metadata", "split"), ""),  # the whole row
}
MOST_FAULTS = 10  # of one row; what follows in a damaged row is rarely news
COLUMNS_SHOWN = 8
TEXT_SHOWN = 60  # characters of a text inside a list or an object
BYTES_READ = 10_000


class _Brief(reprlib.Repr):
    """Texts are cut after their access tokens are hidden: a part of one would not be known."""

    def repr_str(self, value: str, level: int) -> str:
        shown = repr(without_tokens(value, 0, TEXT_SHOWN))
        return shown if len(value) <= TEXT_SHOWN else f"{shown}..."

    def repr_bytes(self, value: bytes, level: int) -> str:
        return f"b{self.repr_str(value[:BYTES_READ].decode('latin-1'), level)}"


_BRIEF = _Brief()
_BRIEF.maxlevel, _BRIEF.maxdict, _BRIEF.maxlist = 3, 4, 4


class Twice(dict[str, Any]):
    """A JSON object in which some columns stand more than once; the last of each counts."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.twice = [name for name in self if names.count(name) > 1]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else Twice(pairs)


DECODER = json.JSONDecoder(object_pairs_hook=_object)


def read_said(row: Row, column: str, role: str, found: Faults) -> list[Message]:
    """A column that holds text, or messages."""
    if isinstance(row[column], list | dict):
        return read_messages(row[column], column, found)
    return [message(role, read_text(row[column], f"`{column}`", column, found))]


def message(role: str, content: str | None) -> Message:
    return UNREADABLE if content is None else {"role": role, "content": content}


def read_messages(value: Any, column: str, found: Faults) -> list[Message]:
    """{role, content} or {from, value}, one or many, as messages with one of four roles."""
    turns = [value] if isinstance(value, dict) else value
    pair = "{from, value}" if column == "conversations" else "{role, content}"
    if isinstance(turns, str) and turns.startswith("["):
        with contextlib.suppress(RecursionError, ValueError):  # told below
            turns = DECODER.decode(turns)
    if not isinstance(turns, list):
        add_fault(found, column, "P1", f"`{column}` {is_not(f'a list of {pair}', value)}", value)
        return [UNREADABLE]
    messages: list[Message] = []
    for number, turn in enumerate(turns, start=1):
        where = f"turn {number} of `{column}`"
        role, text = (
            ("from", "value") if isinstance(turn, dict) and "from" in turn else ("role", "content")
        )
        if not isinstance(turn, dict) or role not in turn or text not in turn:
            add_fault(found, column, "P1", f"{where} is not {pair}: {short(turn)}", turn)
            messages.append(UNREADABLE)
            continue
        own = ROLES.get(turn[role].lower()) if isinstance(turn[role], str) else None
        if own is None:
            known = ", ".join(ROLES)
            reason = f"unknown role {short(turn[role])} in {where}; known: {known}"
            add_fault(found, column, "turn_order", reason, turn)
            messages.append(UNREADABLE)
            continue
        answer = own == "assistant" and number == len(turns)
        side = SIDES.get(column, "chosen" if answer else "prompt")
        if isinstance(turn, Twice):
            reason = f"`{turn.twice[0]}` stands twice in {where}"
            add_fault(found, column, "P1", reason, turn, side)
        said = _joined(turn[text])
        content = read_text(said, f"`{text}` in {where}", column, found, side)
        messages.append(message(own, content))
    return messages


def _joined(content: Any) -> Any:
    """Parts of text, [{"type": "text", "text": ...}], as one; anything else stays as it is."""
    if not isinstance(content, list) or not content:
        return content
    are_texts = all(
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
        for part in content
    )
    return "".join(part["text"] for part in content) if are_texts else content


def read_text(
    value: Any, what: str, column: str, found: Faults, side: str | None = None
) -> str | None:
    """None for what is no text. A text that holds what none should is told, and stays."""
    if not isinstance(value, str):
        add_fault(found, column, "P1", f"{what} {is_not('text', value)}", value, side)
        return None
    if "\0" in value:
        reason = f"{what} holds a NUL byte at character {value.index(chr(0)) + 1:,}"
        add_fault(found, column, "P1", reason, value, side)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            half = f"\\u{ord(value[error.start]):x}"
            reason = f"{what} holds half a character ({half}, a surrogate without its other half)"
            add_fault(found, column, "P1", reason, value, side)
            return value.encode(errors="backslashreplace").decode()  # no frame takes the half
    return value


def read_scores(row: Row, found: Faults) -> Row:
    """`score_chosen` and `score_rejected`, by whichever name the row or its `metadata` has them."""
    for place in (row, row.get("metadata")):
        if isinstance(place, dict) and not SCORE_COLUMNS.isdisjoint(place):
            for both in SCORES:
                if any(place.get(column) is not None for column in both):
                    chosen, rejected = (_score(place.get(column), column, found) for column in both)
                    return {"score_chosen": chosen, "score_rejected": rejected}
    return {"score_chosen": None, "score_rejected": None}


def _score(value: Any, column: str, found: Faults) -> float | None:
    """A number that may be NaN or infinite: the check of scores says so."""
    if value in (None, ""):
        return None
    score = number_of(value)
    if score is None:
        add_fault(found, column, "N1", f"`{column}` {is_not('a number', value)}", value)
    return score


def number_of(value: Any) -> float | None:
    """None for what is no number. In a CSV file numbers are texts."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(str(value))  # 10**400 is inf, not an error
    except ValueError:
        return None


def add_fault(
    found: Faults, column: str, check: str, reason: str, value: Any, side: str | None = None
) -> None:
    if len(found) > MOST_FAULTS:
        return
    if len(found) == MOST_FAULTS:
        reason = f"more than {MOST_FAULTS} defects in this row; the rest is not listed"
    side = SIDES.get(column, "prompt") if side is None else side
    fault = {"column": column, "check": check, "side": side, "reason": reason, "text": short(value)}
    found.append(fault)


def is_not(wanted: str, value: Any) -> str:
    """What stands where something else was wanted.

    >>> is_not("text", True)
    'is a boolean, not text: true'
    """
    if value is None:
        return "is null"
    kinds = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    kind = kinds.get(type(value), f"of type {type(value).__name__}")
    return f"is {kind}, not {wanted}: {short(value)}"


def short(value: Any) -> str:
    """Enough of a value to find it again, as JSON writes it; quick also on 10 MB."""
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "null"}[value]
    if not isinstance(value, str):
        text = _BRIEF.repr(value)
        return text if len(text) <= 80 else f"{text[:77]}..."
    text = repr(without_tokens(value, 0, 80))
    return text if len(text) <= 80 and len(value) <= 80 else f"{text[:77]}..."


def columns_of(row: Any) -> str:
    """The first columns of a row and how many more there are."""
    if not row:
        return "no columns"
    names = [repr(without_tokens(name, 0, 40))[1:-1] for name in list(row)[:COLUMNS_SHOWN]]
    more = len(row) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
