"""How far long work has come: a bar in the terminal, and whatever else listens. Pure of Prefect.

in   a title, how much there is to do (None: not known), steps done
out  a tqdm bar on standard error; `listeners` are told (title, done, total) at most once a second
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

Listener = Callable[[str, int, int | None], None]

listeners: list[Listener] = []
EVERY = 1.0  # seconds; what is done sooner shows no bar at all


@contextmanager
def progress(title: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """`with progress("pairs", 160_000, "row") as advance: advance(1_000)`."""
    done, began, told = 0, monotonic(), monotonic()
    bar: Any = None

    def advance(steps: int) -> None:
        nonlocal done, told, bar
        done += steps
        if bar is not None:
            bar.update(steps)
        if monotonic() - told >= EVERY:
            told = monotonic()
            if bar is None:
                from tqdm import tqdm  # short work never pays for it

                bar = tqdm(total=total, desc=title, unit=unit, initial=done, mininterval=EVERY)
            tell(title, done, total)

    try:
        yield advance
    finally:
        if bar is not None:
            bar.close()
    if monotonic() - began >= EVERY:
        tell(title, done, done)


def tell(title: str, done: int, total: int | None) -> None:
    for listener in listeners:
        listener(title, done, total)
