"""Rows of a file -> pairs for the checks: every row, with all that is wrong with it. Pure.

in   Loaded (tasks.core.forms)
out  {"row", "prompt", "chosen", "rejected", "score_chosen", "score_rejected", "faults": [{"check",
     "side", "reason"}]}, and "split" (or None) where a column of the file divides its rows

Nothing is set aside, except that a row whose answers tie is no pair, and no fault either.
"""

from collections import defaultdict
from itertools import pairwise

from tasks.core.fields import UNREADABLE, Form, Message, Row
from tasks.core.forms import Loaded
from tasks.core.reformat import FOLLOWS, TURN, transcript

Faults = list[dict[str, str]]
Sides = tuple[list[Message] | None, list[Message] | None, list[Message] | None]

NO_ANSWER = "`{}` does not end with an assistant turn"


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
        if not prompt or prompt[-1]["role"] not in ("user", "tool"):
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
        if role == before != "tool":
            found.append(f"two {role} turns in a row (turns {number} and {number + 1})")
        elif role == "system":
            found.append(f"turn {number + 1} is a system message")
        elif role not in FOLLOWS[before]:
            found.append(f"turn {number + 1} is {role}, after a turn of {before}")
    return found


def _empty(side: str, turns: list[Message] | None, what: str = "an answer in `{}`") -> Faults:
    """The turns of a side that say nothing; like order_faults, counted after a system message."""
    if not turns:
        return []
    skip = 1 if turns[0]["role"] == "system" else 0
    empty = [
        n
        for n, turn in enumerate(turns[skip:], start=1)
        if not turn["content"].strip() and turn["role"] != "tool"  # a tool may have nothing to say
    ]
    return [
        _fault("P1", side, f"{turn} is empty")
        for n in empty
        for turn in [f"turn {n} of the prompt" if side == "prompt" else what.format(side)]
    ]


def _fault(check: str, side: str, reason: str) -> dict[str, str]:
    return {"check": check, "side": side, "reason": reason}
