"""The values of a raw row -> messages, texts and scores, and every defect met on the way. Pure.

in   what a file holds at a column, of any type
out  messages {role, content} with one of three roles; what is wrong goes to the list of faults:
     {"column", "check", "side", "reason", "text"}: the check that promises otherwise, the side of
     the pair that it breaks ("" for the whole row), why, and enough of the value to find it
"""

import math
import reprlib
from typing import Any

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
}
SCORES = ("score_chosen", "score_rejected")
SIDES = {
    "chosen": "chosen",
    "output": "chosen",
    "response": "chosen",
    "score_chosen": "chosen",
    "rejected": "rejected",
    "score_rejected": "rejected",
    "": "",  # the whole row
}
MOST_FAULTS = 10  # of one row; what follows in a damaged row is rarely news
COLUMNS_SHOWN = 8

_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxdict, _BRIEF.maxlist, _BRIEF.maxstring = 3, 4, 4, 60


def read_said(row: Row, column: str, role: str, found: Faults) -> list[Message]:
    """A column that holds text, or messages."""
    if isinstance(row[column], list | dict):
        return read_messages(row[column], column, found)
    return [{"role": role, "content": read_text(row[column], f"`{column}`", column, found)}]


def read_messages(value: Any, column: str, found: Faults) -> list[Message]:
    """{role, content} or {from, value}, one or many, as messages with one of three roles."""
    turns = [value] if isinstance(value, dict) else value
    pair = "{from, value}" if column == "conversations" else "{role, content}"
    if not isinstance(turns, list):
        add_fault(found, column, "P1", f"`{column}` {is_not(f'a list of {pair}', value)}", value)
        return []
    messages: list[Message] = []
    for number, turn in enumerate(turns, start=1):
        where = f"turn {number} of `{column}`"
        role, text = (
            ("from", "value") if isinstance(turn, dict) and "from" in turn else ("role", "content")
        )
        if not isinstance(turn, dict) or role not in turn or text not in turn:
            add_fault(found, column, "P1", f"{where} is not {pair}: {short(turn)}", turn)
            continue
        if not isinstance(turn[role], str) or turn[role] not in ROLES:
            known = ", ".join(ROLES)
            reason = f"unknown role {short(turn[role])} in {where}; known: {known}"
            add_fault(found, column, "turn_order", reason, turn)
            continue
        answer = ROLES[turn[role]] == "assistant" and number == len(turns)
        side = SIDES.get(column, "chosen" if answer else "prompt")
        content = read_text(turn[text], f"`{text}` in {where}", column, found, side)
        messages.append({"role": ROLES[turn[role]], "content": content})
    return messages


def read_text(value: Any, what: str, column: str, found: Faults, side: str | None = None) -> str:
    if not isinstance(value, str):
        add_fault(found, column, "P1", f"{what} {is_not('text', value)}", value, side)
        return ""
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
    return value


def read_scores(row: Row, found: Faults) -> Row:
    """`score_chosen` and `score_rejected` of the row, or of its `metadata`; NaN means none."""
    metadata = row.get("metadata")
    inside = metadata if isinstance(metadata, dict) else {}
    scores: dict[str, float | None] = {}
    for column in SCORES:
        value = row[column] if row.get(column) is not None else inside.get(column)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            add_fault(found, column, "P1", f"`{column}` {is_not('a number', value)}", value)
            value = None
        number = None if value is None else float(str(value))  # 10**400 is inf, not an error
        scores[column] = None if number is None or math.isnan(number) else number
    return scores


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
    text = repr(value[:80]) if isinstance(value, str) else _BRIEF.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def columns_of(row: Any) -> str:
    """The first columns of a row and how many more there are."""
    if not row:
        return "no columns"
    names = [repr(name[:40])[1:-1] for name in list(row)[:COLUMNS_SHOWN]]
    more = len(row) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
