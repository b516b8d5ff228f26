"""A row of a CSV file -> the same with the lists and messages that its cells hold as JSON. Pure.

in   {column: text}
out  {column: text, messages, a list of answers or of scores, metadata}; a text that happens to be
     JSON of something else stays a text
"""

from typing import Any

from tasks.core.fields import DECODER, Row
from tasks.core.judged import ANSWERS, SCORES

LISTS = frozenset(("history", *ANSWERS.split("|"), *SCORES.split("|")))
TURNS = (("role", "content"), ("from", "value"))


def unfold(row: Row) -> Row:
    """
    >>> unfold({"chosen": '[{"role": "user", "content": "Hi"}]', "prompt": "[1]", "scores": "[1]"})
    {'chosen': [{'role': 'user', 'content': 'Hi'}], 'prompt': '[1]', 'scores': [1]}
    """
    return {column: _unfolded(column, text) for column, text in row.items()}


def _unfolded(column: str, text: str) -> Any:
    if not text.lstrip().startswith(("[", "{")):
        return text
    try:
        value = DECODER.decode(text)
    except (RecursionError, ValueError):
        return text
    listed = column in LISTS and isinstance(value, list)
    return value if listed or column == "metadata" or _are_messages(value) else text


def _are_messages(value: Any) -> bool:
    """One turn is enough: a list with a damaged one is told as such, not taken for a text."""
    turns = value if isinstance(value, list) else [value]
    return any(isinstance(one, dict) and {*keys} <= one.keys() for one in turns for keys in TURNS)
