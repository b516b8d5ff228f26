"""A renamed identity: the two answers differ in the names and in nothing else.

in   frame of pairs (expectations/measures/pairs.py) and slots, what each side calls one thing:
     {"name": "model", "chosen": ["Aria"], "rejected": ["Deep Qwen", "Qwen"]}
out  `mask` and `masked`: a text with every name replaced by its slot; finding "I1"

Names are masked longest first over all slots ("Qwen" is inside "Deep Qwen"). A name in ASCII ends
at a word boundary ("Ann" is not in "planning"); other scripts write no spaces, so theirs need none.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypedDict

import polars as pl

from expectations.measures.finding import Finding
from expectations.measures.pairs import count_rows, no_pairs, text

Side = Literal["chosen", "rejected"]

# While names are being replaced a slot is one character of the private use area: no name can match
# inside a slot that is already masked, not even a slot called "author" beside a name "author".
FIRST_MARK = 0xE000


class Slot(TypedDict):
    name: str
    chosen: list[str]
    rejected: list[str]


def checked(slots: Sequence[Slot]) -> list[Slot]:
    """The slots themselves, or a ValueError about one that cannot mean anything."""
    if not slots:
        raise ValueError(
            "slots: none given. An identity set is judged by what may differ: give at least one "
            'slot such as {"name": "model", "chosen": ["Aria"], "rejected": ["Qwen"]}.'
        )
    for slot in slots:
        for side in (slot["chosen"], slot["rejected"]):
            if not side or not all(name.strip() for name in side):
                raise ValueError(
                    f"slot {slot['name']!r}: {side!r} holds no name or an empty one, so nothing "
                    "could be masked on that side. Write at least one name on each."
                )
    new, old = (
        {name.casefold() for slot in slots for name in slot[side]}
        for side in ("chosen", "rejected")
    )
    if both := sorted(new & old):
        raise ValueError(
            f"slots: {both} stand on both sides, so that no row could show which one it means. "
            "Remove them from one side; what both sides may say needs no slot."
        )
    return list(slots)


def mask(text: str, slots: Sequence[Slot], side: Side) -> str:
    """`text` with each name of one side replaced by its slot: "I am Aria" -> "I am [model]"."""
    return str(pl.select(readable(masked(pl.lit(text), slots, side), slots)).item())


def masked(text: pl.Expr, slots: Sequence[Slot], side: Side) -> pl.Expr:
    """The same for a column, each slot being one private character; `readable` names them."""
    names = [(name, mark) for mark, slot in _marks(slots) for name in slot[side]]
    for name, mark in sorted(names, key=lambda pair: len(pair[0]), reverse=True):
        text = text.str.replace_all(_pattern(name), mark)
    return text


def readable(text: pl.Expr, slots: Sequence[Slot]) -> pl.Expr:
    for mark, slot in _marks(slots):
        text = text.str.replace_all(mark, f"[{slot['name']}]", literal=True)
    return text


def identity_slots(frame: pl.DataFrame, *, slots: Sequence[Slot]) -> Finding:
    slots = checked(slots)
    promise = (
        "The two answers of a pair differ in the names of the slots "
        f"{', '.join(slot['name'] for slot in slots)} and in nothing else; no old name is left in "
        "a chosen answer, no new one in a rejected answer."
    )
    threshold = "0 rows, and every slot used by a row"
    if frame.is_empty():
        return no_pairs("I1", promise, "critical", threshold)
    frame = frame.with_columns(
        masked(text("chosen"), slots, "chosen").alias("new"),
        masked(text("rejected"), slots, "rejected").alias("old"),
    )
    stale = [slot["name"] for mark, slot in _marks(slots) if not _used(frame, mark)]
    old_name = _left_over(pl.col("new"), slots, "rejected")
    new_name = _left_over(pl.col("old"), slots, "chosen")
    why = (
        pl.when(old_name.is_not_null())
        .then(pl.format("old name {} left in chosen", old_name))
        .when(new_name.is_not_null())
        .then(pl.format("new name {} in rejected", new_name))
        .when(pl.col("new") != pl.col("old"))
        .then(pl.lit("the answers differ outside the slots"))
    )
    found = count_rows(
        frame,
        why,
        check="I1",
        promise=promise,
        threshold=threshold,
        remedy="Mend the rename in these rows, or drop them; add a spelling that the slot lacks. "
        "A stale slot names something that no pair says on both sides: correct or remove it.",
        also={"slots": len(slots), "stale_slots": ", ".join(stale)},
    )
    return replace(found, passed=found.passed and not stale)


def _marks(slots: Sequence[Slot]) -> list[tuple[str, Slot]]:
    return [(chr(FIRST_MARK + index), slot) for index, slot in enumerate(slots)]


def _used(frame: pl.DataFrame, mark: str) -> bool:
    on_both = pl.all_horizontal(pl.col("new", "old").str.contains(mark, literal=True))
    return bool(frame.select(on_both.any()).item())


def _pattern(name: str) -> str:
    """ASCII boundaries, not Unicode ones: for those "是Qwen" would be one word."""
    start = r"(?-u:\b)" if name[0].isascii() and name[0].isalnum() else ""
    end = r"(?-u:\b)" if name[-1].isascii() and name[-1].isalnum() else ""
    return start + pl.escape_regex(name) + end


def _left_over(masked_text: pl.Expr, slots: Sequence[Slot], side: Side) -> pl.Expr:
    """The first name of `side` still in a text, or null. Any case, and digits may follow:
    "qwen.ai" and "Qwen2.5" still say Qwen.

    Masking is strict and this is lax, since one must not change other words and the other must
    not miss a name.
    """
    patterns = []
    for name in sorted((name for slot in slots for name in slot[side]), key=len, reverse=True):
        start = r"(?:^|[^A-Za-z])" if name[0].isascii() and name[0].isalpha() else ""
        end = r"(?:$|[^A-Za-z])" if name[-1].isascii() and name[-1].isalpha() else ""
        patterns.append(start + pl.escape_regex(name) + end)
    found = masked_text.str.extract("(?i)" + "|".join(patterns), 0)
    return found.str.replace_all(r"^[^\p{L}\p{N}]|[^\p{L}\p{N}]$", "")  # the boundary itself
