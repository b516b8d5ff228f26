"""A model's own answers on their way into pairs: what the two ways of curation share. Pure.

in   an Answer and the prompt that it belongs to
out  why nothing can be made from it; messages; an error where a split is left without pairs
"""

import re
from collections import Counter

from expectations.measures.marks import SINGLE, SPECIAL_TOKEN
from tasks.core.answers import Answer
from tasks.core.errors import InputError
from tasks.core.fields import Message, Row

# As the T1 check finds them, so that nothing is made which that check would refuse.
CHAT_TOKEN = re.compile(f"{SPECIAL_TOKEN}|{SINGLE}")


def said(text: str) -> list[Message]:
    """An answer as TRL's conversational form wants it."""
    return [{"role": "assistant", "content": text}]


def question_of(prompt: list[Message]) -> str:
    return prompt[-1]["content"]


def unusable(answer: Answer, prompt: list[Message]) -> tuple[str, str, str] | None:
    """(code, reason, text) of an answer that no pair can be made from."""
    if answer.error is not None:
        return "failed", answer.error, question_of(prompt)
    if not answer.finished:
        return "cut-off", "the answer ran into the token limit", answer.text
    if not answer.text:
        return "empty-answer", "the model answers nothing", question_of(prompt)
    if (token := CHAT_TOKEN.search(answer.text)) is not None:
        return "role-marker", f"the answer holds {token.group()}", answer.text
    return None


def quoted(text: str) -> str:
    """An answer as a message quotes it: one line, its beginning."""
    line = " ".join(text.split())
    return f'"{line if len(line) <= 80 else line[:77] + "..."}"'


def require_pairs(
    pairs: list[Row], aside: list[Row], section: str, settings: str, more: str = ""
) -> None:
    """Raises InputError where a split has no pair left, with what became of the answers.

    `more`: what the answers say, and the way out; else it is to check `settings`.
    """
    for split in ("train", "validation", "test"):
        if not any(row["split"] == split for row in pairs):
            why = Counter(row["code"] for row in aside).most_common()
            told = "; ".join(f"{count} x {code}" for code, count in why)
            raise InputError(
                f"{section}: no pair for {split} among {len(pairs)}; set aside: {told or 'none'}. "
                + (more or f"Check {settings}, or give more prompts.")
            )
