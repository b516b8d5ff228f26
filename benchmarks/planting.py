"""How a fault is planted: what it is called, who must see it, how it gets into the pairs.

in   clean pairs, a source of chance, a share of rows
out  Fault, and plants that change some rows or one side of them
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from clean_pairs import Draw, Pair, tossed

Edit = Callable[[str, Random], str]
Planted = tuple[list[Pair], set[int]]
Plant = Callable[[list[Pair], Random, float], Planted]
ONE = 0.0  # the share that stands for one row
OF_ROWS = (ONE, 0.01, 0.05)
OF_TEST_ROWS = (ONE, 0.10)
OF_MARKERS = (0.02, 0.10, 0.20, 0.30)
WHOLE = (1.0,)


@dataclass(frozen=True)
class Fault:
    name: str
    checks: tuple[str, ...]
    plant: Plant
    shares: tuple[float, ...]
    by_row: bool = False  # recall counts the rows named, else the draws in which the check fails
    seen_as: str = ""  # what S1 to S4 must name, a part of it
    draw: Draw = tossed
    against: bool = False  # compared with a clean reference set
    natural: bool = False  # clean answers have it too, so that it cannot be quite one-sided
    unseen: bool = False  # no check is expected to see it


def picked(pairs: list[Pair], source: Random, share: float, which: Iterable[int] = ()) -> list[int]:
    """Positions of `share` of the rows (at least one), out of `which`, all of them by default."""
    among = list(which) or range(len(pairs))
    return source.sample(among, min(len(among), max(1, round(share * len(pairs)))))


def each(change: Callable[[Pair, Random], Pair]) -> Plant:
    """Plants `change` into a share of the rows, each row by itself."""

    def plant(pairs: list[Pair], source: Random, share: float) -> Planted:
        changed = list(pairs)
        at = picked(pairs, source, share)
        for row in at:
            changed[row] = change(pairs[row], source)
        return changed, {row + 1 for row in at}

    return plant


def chosen(change: Callable[[str], str]) -> Plant:
    return each(lambda pair, _: pair._replace(chosen=change(pair.chosen or "")))


def rejected(change: Callable[[str], str]) -> Plant:
    return each(lambda pair, _: pair._replace(rejected=change(pair.rejected or "")))


def either(change: Callable[[str, Random], str | None]) -> Plant:
    """Into one of the two answers, by a coin."""

    def changed(pair: Pair, source: Random) -> Pair:
        side = source.choice(("chosen", "rejected"))
        return pair._replace(**{side: change(getattr(pair, side) or "", source)})

    return each(changed)


def amid(text: str, word: str, source: Random) -> str:
    """`word` at some place between the words of a text."""
    words = text.split(" ")
    at = source.randint(0, len(words))
    return " ".join([*words[:at], word, *words[at:]])
