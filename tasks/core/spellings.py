"""Renames -> every spelling that they cover, and what takes its place. Pure.

in   renames of a recipe: {slot: name, old: [Qwen, 千问], new: Deep Qwen}
out  {"Qwen": Spelling("name", "Deep Qwen"), "QWEN": Spelling("name", "DEEP QWEN"), ...}

A name is spelt as its author writes it, in capitals, in lower case and with a first capital. What
is written in no such way ("qWEN") is covered by no rename: it is found later and set aside.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from expectations.measures.identity import Slot
    from tasks.core.settings import Rename

APOSTROPHES = ("'", "’")


class Spelling(NamedTuple):
    slot: str
    new: str


def spellings(renames: "Iterable[Rename]") -> dict[str, Spelling]:
    """What a recipe writes out stands before what is derived from it."""
    renames = list(renames)
    found: dict[str, Spelling] = {}
    for one in renames:
        written: set[str] = set()
        for old in one.old:  # "QWEN" beside "Qwen" is a spelling of it, not a name of its own
            if old.casefold() not in written:
                written.add(old.casefold())
                found.setdefault(old, Spelling(one.slot, one.new))
    for one in renames:
        for old in one.old:
            for spelt, new in _in_other_case(old, one.new):
                found.setdefault(spelt, Spelling(one.slot, new))
    for slot in {one.slot for one in renames}:
        found |= _possessives({old: to for old, to in found.items() if to.slot == slot})
    return found


def name_slots(renames: "Iterable[Rename]") -> "list[Slot]":
    """The same as the I1 check reads it: what each side of a pair calls one thing."""
    slots: dict[str, Slot] = {}
    for old, to in spellings(renames).items():
        slot = slots.setdefault(to.slot, {"name": to.slot, "chosen": [], "rejected": []})
        slot["rejected"].append(old)
        if to.new not in slot["chosen"]:
            slot["chosen"].append(to.new)
    for slot in slots.values():
        # 'LMSYS' in quotes looks like its possessive, so the quote after any name counts with it.
        if any(old.endswith(APOSTROPHES) for old in slot["rejected"]):
            for side in (slot["chosen"], slot["rejected"]):
                names = [name for name in side if not name.removesuffix("s").endswith(APOSTROPHES)]
                quoted = [f"{name}{mark}" for name in names for mark in APOSTROPHES]
                side += [name for name in quoted if name not in side]
    return list(slots.values())


def _in_other_case(old: str, new: str) -> list[tuple[str, str]]:
    capital = new[:1].upper() + new[1:]
    return [
        (old.upper(), new.upper()),
        (old.lower(), new.lower()),
        (old.capitalize(), capital),
        (old.title(), capital),
    ]


def _possessives(of_slot: dict[str, Spelling]) -> dict[str, Spelling]:
    """A name that ends in s has a possessive without one: LMSYS' becomes Nord's.

    Then all possessives of the slot are spellings of their own, so that each stands for another.
    Elsewhere they need nothing: "Qwen's" is the name and two characters that stay.
    """
    if not any(old[-1] in "sS" for old in of_slot):
        return {}
    found = {}
    for old, to in of_slot.items():
        for mark in APOSTROPHES:
            owns = Spelling(to.slot, f"{to.new}{mark}s")
            found[f"{old}{mark}s"] = owns
            if old[-1] in "sS":
                found[f"{old}{mark}"] = owns
    return found
