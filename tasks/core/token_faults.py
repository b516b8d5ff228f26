"""Token ids of a prompt and of prompt + answers -> what is wrong with them. Pure.

in   a row, and its token ids as the chat template and the tokenizer make them
out  a Rendered: the tokens of the longer side, and what sets the row aside or refuses the run
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tasks.core.fields import Row

SIDES = ("chosen", "rejected")
SHOWN = 8  # tokens on either side of where two texts part
ANOTHER = "It is the chat template or the tokenizer: choose another base.model."


@dataclass(frozen=True)
class Rendered:
    """One row as the chat template writes it."""

    tokens: int | None = None  # of the longer side; None: the template refuses the row
    is_prefix: bool = False  # the prompt's tokens begin the tokens of prompt + answer
    unfit: str | None = None  # what is wrong with the row
    code: str = "template"  # of aside.CODES, where the row is unfit
    wrong: str | None = None  # what is wrong with template or tokenizer


def judge(tokenizer: Any, stops: frozenset[int], row: Row, ids: list[list[int]]) -> Rendered:
    """`ids`: of the prompt, and of the prompt with each answer that the row has."""
    prompt, *sides = ids
    tokens = max(map(len, ids))
    given = [side for side in SIDES if row.get(side) is not None]
    named = [(side, "".join(message["content"] for message in row[side])) for side in given]
    for (side, text), whole in zip(named, sides, strict=True):
        if whole[: len(prompt)] != prompt:
            return Rendered(tokens, wrong=_parting(tokenizer, side, text, prompt, whole))
    bos = tokenizer.bos_token
    if _doubled(prompt, tokenizer.bos_token_id, stops):
        told = f"two beginnings of sequence ({bos}) stand side by side in the rendered prompt"
        if any(bos in message["content"] for message in row["prompt"]):
            return Rendered(tokens, True, unfit=told, code="role-marker")
        return Rendered(tokens, True, wrong=f"{told}. {ANOTHER}")
    ends = tokenizer.convert_ids_to_tokens(sorted(stops))
    for (side, text), whole in zip(named, sides, strict=True):
        held = [end for end in ends if end in text]
        if held:
            told = f"{side} holds {held[0]}, which ends an answer"
            return Rendered(tokens, True, unfit=told, code="role-marker")
        fault = _end_fault(tokenizer, whole[len(prompt) :], ends)
        if fault:
            return Rendered(tokens, True, wrong=f"{side} {fault}. {ANOTHER}")
    return Rendered(tokens, True)


def _doubled(prompt: list[int], bos: int | None, stops: frozenset[int]) -> bool:
    """Where one token both ends and begins (GPT-2's), two of them part two turns."""
    if bos is None or prompt.count(bos) < 2:
        return False
    return prompt[:2] == [bos, bos] or (
        bos not in stops and any(a == b == bos for a, b in pairwise(prompt))
    )


def _end_fault(tokenizer: Any, said: list[int], ends: list[str]) -> str | None:
    """An answer ends once; white space may follow, or another of the model's ends (Phi-3's)."""
    stops = tokenizer.convert_tokens_to_ids(ends)
    found = [token for token in said if token in stops]
    if not found:
        named = "of its tokenizer and generation_config.json"
        return f"does not end with an end of sequence ({' '.join(ends)}, {named})"
    if len(set(found)) < len(found):
        return f"ends more than once ({_tokens(tokenizer, found)})"
    rest = [token for token in said[said.index(found[0]) :] if token not in stops]
    after = tokenizer.decode(rest).strip() if rest else ""
    return f"goes on after its end of sequence: {after[:80]!r}" if after else None


def _parting(tokenizer: Any, side: str, text: str, prompt: list[int], whole: list[int]) -> str:
    """Where the prompt alone and prompt + answer begin to differ, as text and as tokens."""
    unequal = (n for n, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b)
    at = next(unequal, min(len(prompt), len(whole)))
    before = tokenizer.decode(prompt[max(0, at - SHOWN) : at])
    alone, answered = prompt[at : at + SHOWN], whole[at : at + SHOWN]
    stripped = text == text.strip()
    way_out = ANOTHER if stripped else "`pairpress mend` strips white space around answers."
    return (
        f"its rendered prompt is not a prefix of prompt + {side}. After {at} equal tokens "
        f"(...{before!r}) come\n"
        f"  in the prompt alone  {tokenizer.decode(alone)!r}: {_tokens(tokenizer, alone)}\n"
        f"  with the answer      {tokenizer.decode(answered)!r}: {_tokens(tokenizer, answered)}\n"
        f"{way_out}"
    )


def _tokens(tokenizer: Any, ids: list[int]) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens(ids))
