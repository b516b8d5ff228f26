"""Keys and values of a batch whose rows come and go.

in   what the layers of a model make of each token
out  what they see of the tokens before; the methods are those that models call on a cache
"""

from typing import Any

SPARE = 64  # columns that a time line grows by


class TimeLine:
    """Two buffers a layer (rows, heads, columns, width of a head).

    All rows end at column `end`, so the next token of every row is written into one column; a row
    of n tokens begins n columns before, and what lies before that is masked. transformers' own
    cache copies everything for each new token.
    """

    is_compileable = False
    is_sliding: tuple[bool, ...] = ()  # every layer keeps all; a sliding window is in the mask

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.values: list[Any] = []
        self.rows = self.start = self.end = 0
        self._written: list[int] = []  # of each row the column from which on it holds numbers

    def update(self, keys: Any, values: Any, layer: int, *_: Any, **__: Any) -> tuple[Any, Any]:
        if layer == len(self.keys):  # the first forward pass: what it made is the buffer
            self.keys.append(keys)
            self.values.append(values)
            return keys, values
        here = slice(self.end, self.end + keys.shape[2])
        seen = slice(self.start, here.stop)
        found = []
        for buffer, made in ((self.keys[layer], keys), (self.values[layer], values)):
            buffer[: self.rows, :, here] = made
            found.append(buffer[: self.rows, :, seen])
        return found[0], found[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.end - self.start

    def get_query_offset(self, layer_idx: int = 0) -> int:
        return self.end - self.start

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:
        return self.end - self.start + query_length, 0

    def given(self) -> Any:
        """What the model is handed as its cache."""
        return self

    def forget(self, column: int) -> None:
        """What lies before this column belongs to nobody any more."""
        self.start = column
        self._written = [max(column, written) for written in self._written]

    def keep(self, order: list[int]) -> None:
        """These rows in this order; one that stays where it was is not touched."""
        for buffer in (*self.keys, *self.values):
            for into, row in enumerate(order):
                if into != row:
                    seen = slice(self._written[row], self.end)
                    buffer[into, :, seen] = buffer[row, :, seen]
        self._written = [self._written[row] for row in order]
        self.rows = len(order)

    def reserve(self, rows: int, width: int) -> int:
        """Room for so many rows, `width` columns and one token more; how far the columns moved."""
        room = self.keys[0].shape
        if rows <= room[0] and width <= self.end < room[2]:
            return 0
        width = max(width, self.end - self.start)
        moved = width - self.end
        fits = rows <= room[0] and width + SPARE <= room[2]
        shape = (max(rows, room[0]), room[1], width + SPARE, room[3])
        for buffers in (self.keys, self.values):
            for layer, old in enumerate(buffers):
                new = buffers[layer] = old if fits else old.new_empty(shape)
                for row, written in enumerate(self._written):
                    kept = old[row, :, written : self.end].clone()  # it may go over itself
                    new[row, :, written + moved : width] = kept
        self._written = [written + moved for written in self._written]
        self.start, self.end = self.start + moved, width
        return moved

    def add(self, other: "TimeLine", row: int, columns: slice) -> None:
        """A new row: these columns of a row of another time line, at the end of this one."""
        begin = self.end - (columns.stop - columns.start)
        for into, source in ((self.keys, other.keys), (self.values, other.values)):
            for buffer, made in zip(into, source, strict=True):
                buffer[self.rows, :, begin : self.end] = made[row, :, columns]
        self._written.append(begin)
        self.rows += 1

    def prepend(self, row: int, column: int, length: int) -> None:
        """Before what the newest row holds: so many columns of another row, from `column` on."""
        newest, end = self.rows - 1, self._written[-1]
        for buffer in (*self.keys, *self.values):
            copied = buffer[row, :, column : column + length]
            buffer[newest, :, end - length : end] = copied
        self._written[-1] = end - length

    def blank(self, row: int, column: int) -> None:
        """Zeros from this column to where the row begins: masked or not, numbers are read there."""
        if column < self._written[row]:
            for buffer in (*self.keys, *self.values):
                buffer[row, :, column : self._written[row]] = 0
            self._written[row] = column


class OwnCache:
    """The cache of a model that keeps states beside keys and values (linear attention, Mamba).

    Rows may leave it. None can join while others are in it, and it copies for each new token.
    """

    def __init__(self, model: Any) -> None:
        from transformers import DynamicCache

        self.cache = DynamicCache(config=model.config.get_text_config())
        self.start = self.end = 0

    def given(self) -> Any:
        return self.cache

    def forget(self, column: int) -> None:
        """It keeps what was before."""

    def reserve(self, rows: int, width: int) -> int:
        """It grows by itself."""
        return 0

    def keep(self, order: list[int]) -> None:
        import torch

        self.cache.reorder_cache(torch.tensor(order, dtype=torch.long))

    def blank(self, row: int, column: int) -> None:
        """It holds nothing but what was computed."""
