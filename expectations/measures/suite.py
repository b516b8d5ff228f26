"""Which checks a data set must pass, by what it is for.

in   a profile, and what the checks need to know: the model's window, the slots of a rename
out  list of Asked; `run` answers them with one Finding each. The Great Expectations layer is built
     from the same list, so that a terminal and a Data Docs page ask the same questions
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from expectations.measures.answers import answers_not_empty, chosen_differs
from expectations.measures.finding import Finding
from expectations.measures.identity import Slot, checked, identity_slots
from expectations.measures.lengths import tokens_within_limit
from expectations.measures.placeholders import no_placeholder_left
from expectations.measures.shortcuts import near_perfect_feature, one_sided_feature
from expectations.measures.splits import no_prompt_in_two_splits
from expectations.measures.turn_order import turn_order

Profile = Literal["identity", "preference"]


@dataclass(frozen=True)
class Asked:
    name: str  # the finding's `check`
    measure: Callable[..., Finding]
    parameters: dict[str, Any] = field(default_factory=dict)


def suite(
    profile: Profile, *, max_length: int | None = None, slots: Sequence[Slot] = ()
) -> list[Asked]:
    """max_length: None asks nothing about lengths, for a check without a tokenizer."""
    if profile == "preference" and slots:
        raise ValueError(
            f"slots {[slot['name'] for slot in slots]}: a preference set has none, its answers "
            'differ in more than names. Use the profile "identity", or leave the slots out.'
        )
    asked = [
        Asked("turn_order", turn_order),
        Asked("answers_not_empty", answers_not_empty),
        Asked("chosen_differs", chosen_differs),
        Asked("no_prompt_in_two_splits", no_prompt_in_two_splits),
        Asked("no_placeholder_left", no_placeholder_left),
    ]
    if max_length is not None:
        asked.append(Asked("tokens_within_limit", tokens_within_limit, {"max_length": max_length}))
    masks: dict[str, Any] = {}
    if profile == "identity":
        masks = {"slots": checked(slots)}
        asked.append(Asked("I1", identity_slots, masks))
    asked.append(Asked("S1", one_sided_feature, masks))
    asked.append(Asked("S2", near_perfect_feature, masks))
    return asked


def run(frame: pl.DataFrame, asked: Sequence[Asked]) -> list[Finding]:
    return [ask.measure(frame, **ask.parameters) for ask in asked]
