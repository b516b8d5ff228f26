"""A row of a CSV file -> the same with the lists and messages that its cells hold as JSON. Pure.

in   {column: text}
out  {column: text, messages, a list of answers or of scores, metadata}; a text that happens to be
     JSON of something else stays a text
"""

import re
from typing import Any

from tasks.core.fields import DECODER, Row
from tasks.core.judged import ANSWERS, SCORES

LISTS = frozenset(("history", *ANSWERS.split("|"), *SCORES.split("|")))
# A text that a person wrote begins otherwise: this is a cell that was cut, or escaped wrongly.
BEGUN = re.compile(r'\s*\[?\s*\{\s*"(?:role|from|content|value)"\s*:')
TURNS = (("role", "content"), ("from", "value"))


def unfold(row: Row) -> Row:
    """Raises ValueError for messages that are no JSON: as a text a model would learn to say them.

    >>> unfold({"chosen": '[{"role": "user", "content": "Hi"}]', "prompt": "[1]", "scores": "[1]"})
    {'chosen': [{'role': 'user', 'content': 'Hi'}], 'prompt': '[1]', 'scores': [1]}
    """
    return {column: _unfolded(column, text) for column, text in row.items()}


def _unfolded(column: str, text: str) -> Any:
    if not text.lstrip().startswith(("[", "{")):
        return text
    try:
        value = DECODER.decode(text)
    except (RecursionError, ValueError) as error:
        if BEGUN.match(text):
            raise ValueError(f"`{column}` begins as messages, but is not JSON ({error})") from error
        return text
    listed = column in LISTS and isinstance(value, list)
    return value if listed or column == "metadata" or _are_messages(value) else text


def _are_messages(value: Any) -> bool:
    """One turn is enough: a list with a damaged one is told as such, not taken for a text."""
    turns = value if isinstance(value, list) else [value]
    return any(isinstance(one, dict) and {*keys} <= one.keys() for one in turns for keys in TURNS)
