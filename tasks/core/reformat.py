"""Raw rows -> conversational preference rows, or the prompts that pairs will be made from. Pure.

in   rows of tasks.core.load
out  {"row", "prompt": [message], "chosen": [message], "rejected": [message]}   https://huggingface.co/docs/trl/dataset_formats
     {"row", "prompt": [message]} for conversations, which have no second answer yet
     {"row", "reason", "text"} for what is set aside
"""

import re
from typing import Any

Row = dict[str, Any]
Message = dict[str, str]

TURN = re.compile(r"\n\n(Human|Assistant):")
HH_ROLES = {"Human": "user", "Assistant": "assistant"}


def reformat(form: str, rows: list[Row], system_prompt: str) -> tuple[list[Row], list[Row]]:
    """(rows, set aside); every source row is in exactly one of them."""
    if form == "conversations":
        return prompts_from_conversations(rows, system_prompt)
    kept, aside = [], []
    for row in rows:
        pair, reason = (transcript_pair if form == "hh" else ready_pair)(row)
        if pair is None:
            aside.append(set_aside(row["row"], reason, str(row["chosen"])))
        else:
            kept.append({"row": row["row"]} | pair)
    return kept, aside


def set_aside(row: int, reason: str, text: str) -> Row:
    """A row that goes no further, with why and enough of it to find it again."""
    return {"row": row, "reason": reason, "text": text[-300:]}


def prompts_from_conversations(rows: list[Row], system_prompt: str) -> tuple[list[Row], list[Row]]:
    """The last human turn under a neutral system prompt; each distinct prompt once."""
    kept, aside = [], []
    first_row: dict[str, int] = {}
    for row in rows:
        users = [m["content"].strip() for m in row["conversations"] if m["role"] == "user"]
        if not users or not users[-1]:
            text = str(row["conversations"])
            aside.append(
                set_aside(row["row"], "no human turn" if not users else "empty prompt", text)
            )
        elif users[-1] in first_row:
            reason = f"prompt repeated, first in row {first_row[users[-1]]}"
            aside.append(set_aside(row["row"], reason, users[-1]))
        else:
            first_row[users[-1]] = row["row"]
            prompt = [
                {"role": "system", "content": system_prompt},
                {"role": "user", "content": users[-1]},
            ]
            kept.append({"row": row["row"], "prompt": prompt})
    return kept, aside


def transcript_pair(row: Row) -> tuple[Row | None, str]:
    """An HH-RLHF row as a pair: the prompt is the shared prefix up to the last assistant turn."""
    sides = {}
    for side in ("chosen", "rejected"):
        before, turns = transcript(row[side])
        if before.strip():
            return None, f"{side} has text before its first turn"
        if not turns or turns[-1]["role"] != "assistant":
            return None, f"{side} does not end with an assistant turn"
        sides[side] = turns
    chosen, rejected = sides["chosen"], sides["rejected"]
    if chosen[:-1] != rejected[:-1]:
        return None, "the two prompts differ before the last assistant turn"
    return ready_pair({"prompt": chosen[:-1], "chosen": chosen[-1:], "rejected": rejected[-1:]})


def transcript(text: str) -> tuple[str, list[Message]]:
    r"""(what stands before the first marker, turns without outer white space).

    >>> transcript("\n\nHuman: hi\n\nAssistant: hello")
    ('', [{'role': 'user', 'content': 'hi'}, {'role': 'assistant', 'content': 'hello'}])
    """
    before, *parts = TURN.split(text)  # [before, role, content, role, content ...]
    turns = zip(parts[::2], parts[1::2], strict=True)
    return before, [{"role": HH_ROLES[role], "content": said.strip()} for role, said in turns]


def ready_pair(row: Row) -> tuple[Row | None, str]:
    """A pair that can teach: a conversation that ends with the user, two answers that differ."""
    reason = prompt_fault(row["prompt"])
    if reason:
        return None, reason
    for side in ("chosen", "rejected"):
        answer = row[side]
        if [m["role"] for m in answer] != ["assistant"]:
            return None, f"{side} is not one assistant turn"
        if not answer[0]["content"].strip():
            return None, f"empty {side} answer"
    if row["chosen"][0]["content"].strip() == row["rejected"][0]["content"].strip():
        return None, "chosen and rejected are the same"
    return {key: row[key] for key in ("prompt", "chosen", "rejected")}, ""


def prompt_fault(prompt: list[Message]) -> str | None:
    """Why a prompt cannot be asked, or None: [system], user, assistant, ... ending with user."""
    turns = prompt[1:] if prompt and prompt[0]["role"] == "system" else prompt
    if not turns or turns[-1]["role"] != "user":
        return "the prompt does not end with a user turn"
    for number, turn in enumerate(turns):
        expected = "user" if number % 2 == 0 else "assistant"
        if turn["role"] != expected:
            return f"turn {number + 1} of the prompt is {turn['role']}, not {expected}"
        if not turn["content"].strip():
            return f"turn {number + 1} of the prompt is empty"
    return None
