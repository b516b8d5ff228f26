r"""HH-RLHF transcripts -> pairs, whole arrays at a time. Pure.

in   two string arrays, "\n\nHuman: hi\n\nAssistant: hello"     https://github.com/anthropics/hh-rlhf
out  which rows are plain, and prompt, chosen, rejected of those as list<struct<role, content>>

Plain is a row about which nothing has to be decided: both sides share their prompt to the byte,
the turns alternate and say something, the answers differ, and nowhere stands what may be a role
marker, a placeholder or a NUL. All others go the slow way (tasks.core.reformat), which decides.
The texts are never cut in Python: the markers are found on the bytes of a whole array, which is
then seen as (gap, content, gap, content ...), and one `take` copies the contents.
"""

from dataclasses import dataclass
from typing import Any

import polars as pl

# An alternating transcript begins with the first; `taken` below holds them in this order.
SPEAKERS = {"user": b"Human:", "assistant": b"Assistant:"}
MOST_SPACES = 32  # around a turn; one with more of them is not plain
SPACES = [chr(code) for code in range(0x3001) if chr(code).isspace()]  # what str.strip() takes

Array = Any  # of numpy


@dataclass(frozen=True)
class Plain:
    rows: Array  # (rows of the block,), bool
    prompt: Any  # of the plain rows, pyarrow.ListArray of {role, content}
    chosen: Any
    rejected: Any


@dataclass(frozen=True)
class _Texts:
    """A string array as the bytes of all its texts and the places where each begins and ends."""

    buffer: Any
    data: Array  # uint8
    starts: Array  # (rows,), int64
    ends: Array


def plain_pairs(chosen: Any, rejected: Any) -> Plain:
    """Two pyarrow.StringArray, valid to the byte, -> Plain."""
    import numpy as np

    good, bad = _texts(chosen), _texts(rejected)
    plain = _without(np.ones(len(chosen), bool), _suspect(good), _suspect(bad))
    for side in (chosen, rejected):
        if side.null_count:
            plain &= _bools(side.is_valid())

    turns = _Turns(good)
    plain &= turns.alternate
    # The prompt ends with the marker of the last answer. The same bytes make the same prompt.
    last = turns.first + turns.count - 1
    length = np.zeros(len(plain), np.int64)
    length[plain] = turns.begin[last[plain]] - good.starts[plain]
    plain &= length <= bad.ends - bad.starts  # else it would reach into the next text
    length[~plain] = 0
    plain &= _equal(good, good.starts, good.starts + length, bad, bad.starts, bad.starts + length)
    places, _, _, rows = _markers(bad)
    plain = _without(plain, rows[places > bad.starts[rows] + length[rows]])

    begin, end, blank = _strip(good, turns.begin, turns.end)
    plain = _without(plain, turns.row[blank])
    other, other_end, blank = _strip(bad, bad.starts + length, bad.ends)
    plain &= ~blank
    own, own_end = good.ends.copy(), good.ends.copy()
    own[plain], own_end[plain] = begin[last[plain]], end[last[plain]]
    plain &= ~_equal(good, own, own_end, bad, other, other_end)

    kept = plain[turns.row]
    is_last = np.zeros(len(kept), bool)
    is_last[last[plain]] = True
    contents = _view(good, begin[kept], end[kept])
    asked, answers = (
        contents.take(numbers_of(1 + 2 * np.flatnonzero(which)))
        for which in (~is_last[kept], is_last[kept])
    )
    others = _view(bad, other[plain], other_end[plain])
    roles = turns.nth[kept & ~is_last] % 2
    offsets = np.concatenate(([0], np.cumsum(turns.count[plain] - 1)))
    return Plain(
        plain,
        _messages(offsets, roles, asked),
        *(
            _messages(np.arange(len(said) + 1), np.ones(len(said), np.int64), said)
            for said in (answers, others.take(numbers_of(1 + 2 * np.arange(len(answers)))))
        ),
    )


def _texts(array: Any) -> _Texts:
    import numpy as np
    import pyarrow as pa

    _, offsets, data = array.buffers()
    data = data or pa.py_buffer(b"")
    places = np.frombuffer(offsets, np.int32)[array.offset :][: len(array) + 1].astype(np.int64)
    return _Texts(data, np.frombuffer(data, np.uint8), places[:-1], places[1:])


class _Turns:
    """The turns of all transcripts, one after the other: where each content begins and ends."""

    def __init__(self, texts: _Texts) -> None:
        import numpy as np

        places, marker, speaker, self.row = _markers(texts)
        rows = len(texts.starts)
        self.count = np.bincount(self.row, minlength=rows)
        self.first = np.cumsum(self.count) - self.count  # of each row, its first turn
        self.nth = np.arange(len(places)) - self.first[self.row]
        self.begin = places
        is_last = self.nth == self.count[self.row] - 1
        self.end = np.where(is_last, texts.ends[self.row], np.append(marker[1:], 0))

        before = texts.starts[self.row]
        broken = [texts.data[marker + back] == ord("\n") for back in (0, 1)]
        wrong = (
            ~broken[0]
            | ~broken[1]
            | (speaker != self.nth % 2)
            | ((self.nth == 0) & (marker != before))
        )
        even = (self.count >= 2) & (self.count % 2 == 0)
        self.alternate = _without(even, self.row[wrong])


def _markers(texts: _Texts) -> tuple[Array, Array, Array, Array]:
    """(where it ends, where its line breaks would begin, speaker, row) of all that may be markers.

    The two line breaks are not looked for: a marker without them is one that is not plain.
    """
    import numpy as np

    data = texts.data
    colons = np.flatnonzero(data == ord(":"))
    speaker = np.full(len(colons), -1)
    length = np.zeros(len(colons), np.int64)
    for number, word in enumerate(SPEAKERS.values()):
        found = np.flatnonzero(colons >= len(word) + 1)
        for back, byte in enumerate(reversed(word)):
            found = found[data[colons[found] - back] == byte]
        speaker[found], length[found] = number, len(word)
    met = np.flatnonzero(speaker >= 0)
    ends = colons[met] + 1
    row = np.searchsorted(texts.ends, ends)  # the row in which the marker ends
    inside = ends > np.append(texts.starts, len(data))[row]
    met, ends, row = met[inside], ends[inside], row[inside]
    return ends, ends - length[met] - 2, speaker[met], row


def _suspect(texts: _Texts) -> Array:
    """The rows that hold a NUL, or how a placeholder begins: `{{`, `<`."""
    import numpy as np

    nuls, braces, angles = (np.flatnonzero(texts.data == byte) for byte in b"\0{<")
    twice = braces[:-1][np.diff(braces) == 1]
    row = np.searchsorted(texts.ends, np.concatenate((nuls, twice, angles)), side="right")
    return row[row < len(texts.ends)]


def _without(plain: Array, *rows: Array) -> Array:
    plain = plain.copy()
    for some in rows:
        plain[some] = False
    return plain


def _strip(texts: _Texts, begin: Array, end: Array) -> tuple[Array, Array, Array]:
    """(begin, end, blank) without the outer white space; blank also where that cannot be told."""
    import numpy as np

    data = texts.data
    is_space = np.zeros(256, bool)
    is_space[[ord(space) for space in SPACES if space.isascii()]] = True
    begin, end = begin.copy(), end.copy()
    blank = np.zeros(len(begin), bool)
    for edge, step, place in ((begin, 1, 0), (end, -1, -1)):
        left = np.arange(len(begin))
        for _ in range(MOST_SPACES):
            left = left[begin[left] < end[left]]
            left = left[is_space[data[edge[left] + place]]]
            edge[left] += step
        blank[left] = True
    blank |= begin >= end
    other = np.flatnonzero(~blank)
    other = other[(data[begin[other]] | data[end[other] - 1]) >= 0x80]
    for space in (space.encode() for space in SPACES if not space.isascii()):
        for start in (begin[other], end[other] - len(space)):
            places = [np.minimum(start + at, len(data) - 1) for at in range(len(space))]
            match = [data[place] == byte for place, byte in zip(places, space, strict=True)]
            blank[other[np.logical_and.reduce(match)]] = True
    return begin, end, blank


def _view(texts: _Texts, begin: Array, end: Array) -> Any:
    """The bytes as (gap, content, gap, content ...): the contents are the odd ones. No copy."""
    import numpy as np
    import pyarrow as pa

    places = np.zeros(2 * len(begin) + 1, np.int32)
    places[1::2], places[2::2] = begin, end
    places[0] = begin[0] if len(begin) else 0
    return pa.StringArray.from_buffers(2 * len(begin), pa.py_buffer(places), texts.buffer)


def _equal(a: _Texts, begin: Array, end: Array, b: _Texts, other: Array, other_end: Array) -> Array:
    import pyarrow.compute as pc

    return _bools(pc.equal(_view(a, begin, end), _view(b, other, other_end)))[1::2]


def _bools(array: Any) -> Array:
    import numpy as np

    bits = np.frombuffer(array.buffers()[1], np.uint8)
    return np.unpackbits(bits, bitorder="little")[array.offset :][: len(array)].astype(bool)


def numbers_of(array: Array) -> Any:
    """Numbers of numpy as a pyarrow.Array. `pa.array` would import pandas for it, a third of a
    second and 30 MB.
    """
    import numpy as np
    import pyarrow as pa

    buffer = pa.py_buffer(np.ascontiguousarray(array))
    return pa.Array.from_buffers(pa.from_numpy_dtype(array.dtype), len(array), [None, buffer])


def _messages(offsets: Array, roles: Array, contents: Any) -> Any:
    """One list of messages a row; `roles` are numbers of SPEAKERS."""
    import numpy as np
    import pyarrow as pa

    speakers = pl.Series(list(SPEAKERS)).to_arrow().cast(pa.string())
    names = speakers.take(numbers_of(roles))
    messages = pa.StructArray.from_arrays([names, contents], names=["role", "content"])
    return pa.ListArray.from_arrays(numbers_of(offsets.astype(np.int32)), messages)
