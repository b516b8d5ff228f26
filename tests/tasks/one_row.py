"""What the tests of rewriting one row share: messages, settings, and what became of the row."""

from typing import Any

from tasks.core.fields import Message, Row
from tasks.core.reformat import How, rewrite_row
from tasks.core.settings import Reformat


def user(content: str) -> Message:
    return {"role": "user", "content": content}


def assistant(content: str) -> Message:
    return {"role": "assistant", "content": content}


def how(**said: Any) -> How:
    return How.of(Reformat(**said))


def out(form: Any, row: Row, **said: Any) -> list[Row]:
    """The rows that one source row becomes, without its number."""
    kept, aside = rewrite_row(form, {"row": 7} | row, how(**said))
    assert aside == [] and {one.pop("row") for one in kept} == {7}
    return kept


def why(form: Any, row: Row, **said: Any) -> tuple[str, str]:
    """(code, reason) one row was set aside for."""
    kept, aside = rewrite_row(form, {"row": 7} | row, how(**said))
    assert kept == [] and [one["row"] for one in aside] == [7]
    return aside[0]["code"], aside[0]["reason"]
