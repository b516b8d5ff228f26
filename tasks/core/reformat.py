"""Raw rows -> conversational preference rows, or the prompts that pairs will be made from. Pure.

in   rows of tasks.core.load
out  {"row", "prompt": [message], "chosen": [message], "rejected": [message]}   https://huggingface.co/docs/trl/dataset_formats
     {"row", "prompt": [message]} for conversations, which have no second answer yet
     {"row", "reason", "text"} for what is set aside
     and for the checks, of every row of a file: {"row", "prompt", "chosen", "rejected",
     "score_chosen", "score_rejected", "faults": [{"check", "side", "reason"}]}, and "split" (or
     None) where a column of the file divides its rows
"""

import re
from collections import defaultdict
from itertools import pairwise

from expectations.measures.tokens_in_text import without_tokens
from tasks.core.fields import UNREADABLE
from tasks.core.fields import Message as Message
from tasks.core.fields import Row as Row
from tasks.core.forms import Form, Loaded

Faults = list[dict[str, str]]
Sides = tuple[list[Message] | None, list[Message] | None, list[Message] | None]

NO_ANSWER = "`{}` does not end with an assistant turn"
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
    return {"row": row, "reason": reason, "text": without_tokens(text, max(0, len(text) - 300))}


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


def as_pairs(loaded: Loaded) -> list[Row]:
    """Every row of a file, in its order, with all that is wrong with it; nothing is set aside.

    What a row means in spite of its faults is kept as far as it can be told, else a side is None.
    A conversation has no rejected answer. Equal answers are no fault here: a check counts them.
    """
    rows = [_row(loaded.form, row, []) for row in loaded.rows]
    if not loaded.faults:
        return rows
    unread: dict[int, Faults] = defaultdict(list)
    for one in loaded.faults:
        unread[one["row"]].append({key: one[key] for key in ("check", "side", "reason")})
    for number, faults in unread.items():
        form, row = loaded.damaged[number]
        rows.append(_row(form, row, faults))
    return sorted(rows, key=lambda row: int(row["row"]))


def _row(form: Form, row: Row, faults: Faults) -> Row:
    read = {"hh": _transcript_sides, "pairs": _pair_sides, "conversations": _talk_sides}[form]
    prompt, chosen, rejected = read(row, faults)
    told = {
        "row": row["row"],
        "prompt": prompt,
        "chosen": chosen,
        "rejected": rejected,
        "score_chosen": row.get("score_chosen"),
        "score_rejected": row.get("score_rejected"),
        "faults": faults,
    }
    return told | {"split": row["split"]} if "split" in row else told


def _transcript_sides(row: Row, faults: Faults) -> Sides:
    """The prompt of the chosen transcript, where the two differ or the other is unreadable."""
    prompts: dict[str, list[Message]] = {}
    answers: dict[str, list[Message] | None] = {"chosen": None, "rejected": None}
    for side, (before, turns) in _transcripts(row["chosen"], row["rejected"]).items():
        if before.strip():
            reason = f"text before the first turn of `{side}`"
            faults.append(_fault("turn_order", side, reason))
        faults += [_fault("turn_order", side, reason) for reason in order_faults(turns)]
        if turns and turns[-1]["role"] == "assistant":
            prompts[side], answers[side] = turns[:-1], turns[-1:]
        else:
            prompts[side] = turns
            faults.append(_fault("turn_order", side, NO_ANSWER.format(side)))
    chosen, rejected = answers["chosen"], answers["rejected"]
    prompt, *others = prompts.values() or [None]
    differ = others not in ([], [prompt])
    if differ and chosen and rejected:
        reason = "the two prompts differ before the last assistant turn"
        faults.append(_fault("same_prompt", "prompt", reason))
    faults += _empty("prompt", prompt)
    if differ:
        faults += [one for one in _empty("prompt", others[0]) if one not in faults]
    faults += _empty("chosen", chosen) + _empty("rejected", rejected)
    return prompt, chosen, rejected


def _transcripts(chosen: str | None, rejected: str | None) -> dict[str, tuple[str, list[Message]]]:
    """`transcript` of both sides; what they share, nearly always the prompt, is split once."""
    if chosen is None or rejected is None:
        sides = {"chosen": chosen, "rejected": rejected}
        return {side: transcript(text) for side, text in sides.items() if text is not None}
    marker = "\n\nAssistant:"
    head, found, answer = chosen.rpartition(marker)
    start = len(head) + len(marker)
    shared = found and rejected.startswith(head + marker)
    if not shared or TURN.search(answer) or TURN.search(rejected, start):
        return {"chosen": transcript(chosen), "rejected": transcript(rejected)}
    before, turns = transcript(head)
    ends = {"chosen": answer, "rejected": rejected[start:]}
    return {
        side: (before, [*turns, {"role": "assistant", "content": said.strip()}])
        for side, said in ends.items()
    }


def _pair_sides(row: Row, faults: Faults) -> Sides:
    prompt: list[Message] | None = row["prompt"]
    if prompt is not None:
        faults += [_fault("turn_order", "prompt", reason) for reason in order_faults(prompt)]
        if not prompt or prompt[-1]["role"] != "user":
            reason = "the prompt does not end with a user turn"
            faults.append(_fault("turn_order", "prompt", reason))
        faults += _empty("prompt", prompt)
    chosen = _answer(row, "chosen", faults)
    return prompt, chosen, _answer(row, "rejected", faults)


def _answer(row: Row, side: str, faults: Faults) -> list[Message] | None:
    """The turns of one side; one that still repeats a prompt (tasks.core.forms) repeats another."""
    turns: list[Message] | None = row[side]
    if turns is None:
        return None
    if not turns:
        faults.append(_fault("P1", side, f"no turn in `{side}`"))
        return None
    if turns[-1]["role"] != "assistant":
        faults.append(_fault("turn_order", side, NO_ANSWER.format(side)))
        return None
    if turns[0]["role"] != "assistant":
        reason = f"`{side}` begins with other turns than the prompt"
        faults.append(_fault("same_prompt", "prompt", reason))
        turns = turns[-1:]
    reasons = order_faults(turns, first="assistant")
    faults += [_fault("turn_order", side, reason) for reason in reasons]
    faults += _empty(side, turns)
    return turns


def _talk_sides(row: Row, faults: Faults) -> Sides:
    turns: list[Message] = row["conversations"]
    if UNREADABLE in turns:
        before, last = turns[:-1], turns[-1:]
        prompt = None if not before or UNREADABLE in before else before
        return prompt, None if last == [UNREADABLE] else last, None
    answers = [number for number, turn in enumerate(turns) if turn["role"] == "assistant"]
    for role in ("user", "assistant"):
        if not any(turn["role"] == role for turn in turns):
            side = "prompt" if role == "user" else "chosen"
            faults.append(_fault("turn_order", side, f"no {role} turn"))
    if not faults:
        faults += [_fault("turn_order", "prompt", reason) for reason in order_faults(turns)]
        if answers[-1] != len(turns) - 1:
            reason = "the conversation does not end with an assistant turn"
            faults.append(_fault("turn_order", "chosen", reason))
    if not answers:
        return turns, None, None
    prompt, chosen = turns[: answers[-1]], [turns[answers[-1]]]
    faults += _empty("prompt", prompt) + _empty("chosen", chosen, "the last answer")
    return prompt, chosen, None


def order_faults(turns: list[Message], first: str = "user") -> list[str]:
    """What is out of turn after a system message, each with the number of its turn.

    >>> order_faults([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])
    ['two user turns in a row (turns 1 and 2)']
    """
    roles = [turn["role"] for turn in turns]
    if roles[:1] == ["system"]:
        del roles[0]
    other = {"user": "assistant", "assistant": "user"}[first]
    if roles == ([first, other] * len(roles))[: len(roles)]:
        return []
    found = [] if roles[0] == first else [f"turn 1 is {roles[0]}, not {first}"]
    for number, (before, role) in enumerate(pairwise(roles), start=1):
        if role == before:
            found.append(f"two {role} turns in a row (turns {number} and {number + 1})")
        elif role == "system":
            found.append(f"turn {number + 1} is a system message")
    return found


def _empty(side: str, turns: list[Message] | None, what: str = "an answer in `{}`") -> Faults:
    """The turns of a side that say nothing; like order_faults, counted after a system message."""
    if not turns:
        return []
    skip = 1 if turns[0]["role"] == "system" else 0
    empty = [n for n, turn in enumerate(turns[skip:], start=1) if not turn["content"].strip()]
    return [
        _fault("P1", side, f"{turn} is empty")
        for n in empty
        for turn in [f"turn {n} of the prompt" if side == "prompt" else what.format(side)]
    ]


def _fault(check: str, side: str, reason: str) -> dict[str, str]:
    return {"check": check, "side": side, "reason": reason}
