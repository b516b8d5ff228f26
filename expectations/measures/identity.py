"""A renamed identity: the two answers differ in the names and in nothing else.

in   Pairs and slots, what each side calls one thing:
     {"name": "model", "chosen": ["Aria"], "rejected": ["Deep Qwen", "Qwen"]}
out  `mask` and `masked`: a text with every name replaced by its slot; finding "I1"

Names are masked longest first over all slots ("Qwen" is inside "Deep Qwen"). A name in ASCII ends
at a word boundary ("Ann" is not in "planning"); other scripts write no spaces, so theirs need none.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator
from typing_extensions import TypedDict  # typing's own only from Python 3.12 on

from expectations.measures.finding import Finding, Number
from expectations.measures.measure import RowMeasure
from expectations.measures.pairs import Pairs

Side = Literal["chosen", "rejected"]
SIDES: tuple[Side, Side] = ("chosen", "rejected")

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


class IdentitySlots(RowMeasure):
    check: ClassVar[str] = "I1"
    title: ClassVar[str] = "identity slots"

    slots: list[Slot] = Field(description="What each side calls one thing; nothing else may differ")

    @field_validator("slots")
    @classmethod
    def _mean_something(cls, slots: list[Slot]) -> list[Slot]:
        return checked(slots)

    @property
    def promise(self) -> str:
        return (
            "The two answers of a pair differ in the names of the slots "
            f"{', '.join(slot['name'] for slot in self.slots)} and in nothing else; no old name is "
            "left in a chosen answer, no new one in a rejected answer."
        )

    @property
    def threshold(self) -> str:
        return "0 rows, and every slot used by a row"

    @property
    def remedy(self) -> str:
        return (
            "Mend the rename in these rows, or drop them; add a spelling that the slot lacks. "
            "A stale slot names something that no pair says on both sides: correct or remove it."
        )

    def whys(self) -> Mapping[str, pl.Expr]:
        new = masked(pl.col("chosen_text"), self.slots, "chosen")
        old = masked(pl.col("rejected_text"), self.slots, "rejected")
        old_name = name_left(new, self.slots, "rejected")
        new_name = name_left(old, self.slots, "chosen")
        why = (
            pl.when(old_name.is_not_null())
            .then(pl.format("old name {} left in chosen", old_name))
            .when(new_name.is_not_null())
            .then(pl.format("new name {} in rejected", new_name))
            .when(new != old)
            .then(pl.lit("the answers differ outside the slots"))
        )
        return {"": pl.when("good").then(why)}

    def judge(self, pairs: Pairs) -> Finding:
        found = super().judge(pairs)
        if pairs.height == 0:
            return found
        used = {
            str(number): pl.all_horizontal(
                masked(pl.col(f"{side}_text"), self.slots, side).str.contains(mark, literal=True)
                for side in SIDES
            ).any()
            for number, (mark, _) in enumerate(_marks(self.slots))
        }
        seen = pairs.select(used)
        stale = [slot["name"] for n, slot in enumerate(self.slots) if not seen[str(n)].any()]
        also: dict[str, Number] = {"slots": len(self.slots), "stale_slots": ", ".join(stale)}
        number = found.number + (f", stale: {', '.join(stale)}" if stale else "")
        severity = self.severity if stale else found.severity
        return replace(
            found,
            passed=found.passed and not stale,
            number=number,
            severity=severity,
            observed=found.observed | also,
        )


def _marks(slots: Sequence[Slot]) -> list[tuple[str, Slot]]:
    return [(chr(FIRST_MARK + index), slot) for index, slot in enumerate(slots)]


def _pattern(name: str) -> str:
    """ASCII boundaries, not Unicode ones: for those "是Qwen" would be one word."""
    start = r"(?-u:\b)" if name[0].isascii() and name[0].isalnum() else ""
    end = r"(?-u:\b)" if name[-1].isascii() and name[-1].isalnum() else ""
    return start + pl.escape_regex(name) + end


def name_left(masked_text: pl.Expr, slots: Sequence[Slot], side: Side) -> pl.Expr:
    """The first name of `side` still in a text, or null. Any case, and digits may follow:
    "qwen.ai", "Qwen2.5" and "QwenChat" still say Qwen.

    Masking is strict and this is lax, since one must not change other words and the other must
    not miss a name.
    """
    patterns = []
    names = sorted((name for slot in slots for name in slot[side]), key=len, reverse=True)
    for name in names:
        start = r"(?:^|[^A-Za-z])" if name[0].isascii() and name[0].isalpha() else ""
        end = r"(?:$|[^A-Za-z])" if name[-1].isascii() and name[-1].isalpha() else ""
        escaped = pl.escape_regex(name)
        patterns.append(start + escaped + end)
        # Inside a word where capitals tell the parts: "QwenChat", "myQwen"; not "Ann" in "Annex".
        before, after = re.match("[A-Z]", name), re.search("[a-z]$", name)
        if after:
            patterns.append(f"{start}(?-i:{escaped}[A-Z])")
        if before:
            patterns.append(f"(?-i:[a-z]{escaped}){end}")
        if before and after:
            patterns.append(f"(?-i:[a-z]{escaped}[A-Z])")
    found = masked_text.str.extract("(?i)" + "|".join(patterns), 0)
    return found.str.extract(f"(?i)({'|'.join(pl.escape_regex(name) for name in names)})")
