"""The text of a JSON array -> where each of its elements stands in it.

out  (begin, end) of each, in order; ArrayText: the text of some of them, found when it is asked for
"""

import re
from collections.abc import Iterator
from functools import cached_property

from tasks.core.fields import DECODER

GAP = re.compile(r"[\s,]*")


def elements(text: str) -> Iterator[tuple[int, int]]:
    """(begin, end) of each element of a JSON array."""
    at = text.index("[") + 1
    while True:
        gap = GAP.match(text, at)
        assert gap is not None
        if text[gap.end()] == "]":
            return
        _, at = DECODER.raw_decode(text, gap.end())
        yield gap.end(), at


class ArrayText:
    """What a parser loses of an element stands here: a column twice, 1e400, the spacing."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        return list(elements(self.text))

    def of(self, number: int) -> str:
        """`number`: from 1."""
        begin, end = self.spans[number - 1]
        return self.text[begin:end]
