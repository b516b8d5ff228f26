"""A row that goes no further: its number, why, and enough of it to find it again. Pure.

in   the row's number, one of CODES, the reason in words, the offending text
out  {"row", "code", "reason", "text"}; the text is the end of what it was, access tokens hidden
"""

from typing import Any

from expectations.measures.tokens_in_text import without_tokens

TEXT_KEPT = 300  # characters

CODES = {
    "unreadable": "the line is no JSON, or not UTF-8",
    "damaged": "a column is missing or holds what it must not",
    "no-prompt": "nobody asks anything",
    "turn-order": "two turns of one role in a row, or the wrong role at an end",
    "empty-answer": "an answer says nothing",
    "role-marker": "an answer goes on with a turn of somebody else, or holds a chat token",
    "prompts-differ": "the two answers belong to different prompts",
    "same-answers": "chosen and rejected are the same",
    "tie": "no answer is better than the other by enough",
    "template": "the chat template refuses the row",
    "too-long": "more tokens than reading.max_length",
    "duplicate": "the row stands there already",
    "repeated-prompt": "the prompt stands there already, and its answer is made anew",
    "contradiction": "another row prefers the other answer",
    "near-duplicate": "nearly the same row stands there already",
    "beyond-cap": "more prompts than splits.max_train or splits.max_test",
    "cut-off": "the answer ran into the token limit",
    "failed": "the answer could not be made",
    "nothing-to-correct": "the answer does not say the old name",
    "left-over": "the old name is left in a form that no rename covers",
    "unexplained": "the two answers differ in more than the renames",
    "too-few": "fewer than two answers can be compared",
    "too-alike": "the best and the worst answer are nearly the same",
}


def set_aside(row: int, code: str, reason: str, text: str) -> dict[str, Any]:
    assert code in CODES, code
    shown = without_tokens(text, max(0, len(text) - TEXT_KEPT))
    return {"row": row, "code": code, "reason": reason, "text": shown}
