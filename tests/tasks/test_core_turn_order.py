"""Turns in order: a run, a check's parser and a check's measure say the same of every order."""

import re
from itertools import product

import polars as pl
import pytest

from expectations.measures.pairs import Pairs
from expectations.measures.turn_order import TurnOrder
from tasks.core.as_pairs import as_pairs
from tasks.core.fields import Message
from tasks.core.forms import Loaded
from tasks.core.reformat import prompt_fault

# A prompt: tools speak after the assistant only, and may have the last word.
TURNS = re.compile("(system,)?user(,assistant(,tool)+)*(,assistant,user(,assistant(,tool)+)*)*")


def answer(content: str) -> list[Message]:
    return [{"role": "assistant", "content": content}]


@pytest.mark.parametrize("before", [[], ["system"]])
def test_a_run_and_both_ways_of_checking_hold_the_same_order_of_turns(before: list[str]) -> None:
    roles = ("user", "assistant", "tool", "system")
    orders = [[*before, *one] for n in range(6) for one in product(roles, repeat=n)]
    prompts = [[{"role": role, "content": "x"} for role in order] for order in orders]
    reasons = [prompt_fault(prompt) for prompt in prompts]
    good = [prompt for prompt, reason in zip(prompts, reasons, strict=True) if reason is None]
    assert [TURNS.fullmatch(",".join(order)) is None for order in orders] == [*map(bool, reasons)]
    for prompt in prompts:
        row = {"row": 1, "prompt": prompt, "chosen": answer("a"), "rejected": answer("b")}
        (told,) = as_pairs(Loaded("pairs", "", [row], []))
        assert bool(told["faults"]) == (prompt not in good)
    pair = {"chosen": answer("a"), "rejected": answer("b")}
    frame = pl.DataFrame([{"prompt": prompt} | pair for prompt in prompts])
    found = Pairs(frame).broken(TurnOrder())["row"].unique().to_list()
    assert sorted(found) == [n for n, reason in enumerate(reasons, start=1) if reason]
