"""Decoding with a batch whose rows come and go: keys and values, prefill, one step.

in   jobs: token ids of a prompt, what was said so far, where its randomness comes from
out  one token more for every job of the batch, the same whatever else is in the batch

Rounding differs with the shape of a batch. Where a choice is as close as that (choices.py) it is
made from the logits of that one row computed alone, so that no answer depends on its neighbours.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from tasks.core.choices import Choose

SPARE = 64  # columns that a time line grows by
REFILL = 8  # a batch is filled up again when one in so many of its rows is empty
# Tokens of prompts read at once. On a CPU what a layer makes of 512 stays in its cache: 2048 were a
# fifth slower, and 128 no quicker. A GPU has more to keep busy.
PREFILL = {"cpu": 512, "cuda": 8192}


@dataclass
class Job:
    """One answer to be: `most` tokens at most."""

    key: str  # what was asked and how, as the journal has it
    chance: str  # what its draws come from
    ids: tuple[int, ...]
    most: int
    stops: frozenset[int]
    said: list[int] = field(default_factory=list)

    @property
    def context(self) -> tuple[int, ...]:
        return (*self.ids, *self.said)

    @property
    def finished(self) -> bool:
        return bool(self.said) and self.said[-1] in self.stops

    @property
    def done(self) -> bool:
        return self.finished or len(self.said) >= self.most

    def draw(self) -> int:
        """Seed of the next choice, by what is asked and the place in the answer alone."""
        text = f"{self.chance} {len(self.said)}".encode()
        return int.from_bytes(blake2b(text, digest_size=7).digest())


class TimeLine:
    """Keys and values of a batch: two buffers a layer (rows, heads, columns, width of a head).

    All rows end at column `end`, so the next token of every row is written into one column; a row
    of n tokens begins n columns before, and what lies before that is masked. transformers' own
    cache copies everything for each new token. The methods are those that models call on a cache.
    """

    is_compileable = False
    is_sliding: tuple[bool, ...] = ()  # every layer keeps all; a sliding window is in the mask

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.values: list[Any] = []
        self.rows = self.start = self.end = 0

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

    def keep(self, order: list[int]) -> None:
        """These rows in this order; one that stays where it was is not touched."""
        seen = slice(self.start, self.end)
        for buffer in (*self.keys, *self.values):
            for into, row in enumerate(order):
                if into != row:
                    buffer[into, :, seen] = buffer[row, :, seen]
        self.rows = len(order)

    def reserve(self, rows: int, width: int) -> int:
        """Room for so many rows, `width` columns and one token more; how far the columns moved."""
        used = slice(self.start, self.end)
        room = self.keys[0].shape
        if rows <= room[0] and width <= self.end < room[2]:
            return 0
        width = max(width, self.end - self.start)
        moved = width - self.end
        for buffers in (self.keys, self.values):
            for layer, old in enumerate(buffers):
                new = old.new_zeros(rows, old.shape[1], width + SPARE, old.shape[3])
                new[: self.rows, :, self.start + moved : width] = old[: self.rows, :, used]
                buffers[layer] = new
        self.start, self.end = self.start + moved, width
        return moved

    def add(self, other: "TimeLine", row: int, length: int) -> None:
        """Take over the last `length` columns of a row of another time line."""
        for into, source in ((self.keys, other.keys), (self.values, other.values)):
            for buffer, made in zip(into, source, strict=True):
                buffer[self.rows, :, self.end - length : self.end] = made[row, :, -length:]
        self.rows += 1


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


class Batch:
    """Jobs that are being answered, a row each."""

    def __init__(self, model: Any, choose: Choose) -> None:
        self.jobs: list[Job] = []
        self.joins = not any(OwnCache(model).cache.is_linear)  # new rows, while others are there
        self._model, self._choose = model, choose
        self._line: TimeLine | OwnCache = TimeLine()
        self._begin: list[int] = []  # the first column of each row

    def leave(self) -> None:
        """Jobs that are done go; the last of the others move into their places."""
        order = list(range(len(self.jobs)))
        for row in reversed(order):
            if self.jobs[row].done:
                order[row] = order[-1]
                order.pop()
        if len(order) < len(self.jobs):
            self._line.keep(order)
            self.jobs = [self.jobs[row] for row in order]
            self._begin = [self._begin[row] for row in order]

    def join(self, jobs: list[Job]) -> None:
        """Read the prompts of new jobs, each distinct one once, and say their first token."""
        rows, most = len(self.jobs) + len(jobs), PREFILL[self._model.device.type]
        while jobs:
            contexts: list[tuple[int, ...]] = []
            reading = []
            for job in jobs:
                if job.context not in contexts:
                    widest = max(len(ids) for ids in [*contexts, job.context])
                    if self.joins and contexts and widest * (len(contexts) + 1) > most:
                        break
                    contexts.append(job.context)
                reading.append(job)
            jobs = jobs[len(reading) :]
            read, logits = self._read(contexts)
            at = [contexts.index(job.context) for job in reading]
            self._seat(reading, read, at, rows)
            self._say(reading, logits[at])

    def _read(self, contexts: list[tuple[int, ...]]) -> tuple[TimeLine | OwnCache, Any]:
        import torch

        line = TimeLine() if self.joins else OwnCache(self._model)
        width = max(map(len, contexts))
        device = self._model.device
        ids = torch.tensor([[0] * (width - len(one)) + list(one) for one in contexts])
        before = torch.tensor([[width - len(one)] for one in contexts])
        columns = torch.arange(width)[None]
        padded = bool(before.any())  # without padding there is no mask, which is quicker
        logits = self._model(
            input_ids=ids.to(device),
            attention_mask=(columns >= before).long().to(device) if padded else None,
            position_ids=(columns - before).clamp(min=0).to(device),
            past_key_values=line.given(),
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        line.end = width
        return line, logits

    def _seat(self, jobs: list[Job], read: TimeLine | OwnCache, at: list[int], rows: int) -> None:
        """Give each job a row, of `rows` in all, and put what was read of its prompt there."""
        line = self._line
        if isinstance(line, TimeLine) and isinstance(read, TimeLine):
            line.keys = line.keys or [keys[:0] for keys in read.keys]
            line.values = line.values or [values[:0] for values in read.values]
            self._reserve(rows, max(len(job.context) for job in jobs))
            for job, row in zip(jobs, at, strict=True):
                line.add(read, row, len(job.context))
        else:
            line = self._line = read
            line.keep(at)
        self.jobs += jobs
        self._begin += [line.end - len(job.context) for job in jobs]
        line.forget(min(self._begin))

    def _reserve(self, rows: int, width: int) -> None:
        self._line.forget(min(self._begin, default=self._line.end))
        moved = self._line.reserve(rows, width)
        self._begin = [begin + moved for begin in self._begin]

    def step(self) -> None:
        """One token more for every job."""
        import torch

        self._reserve(len(self.jobs), 0)
        line, device = self._line, self._model.device
        last = torch.tensor([[job.said[-1]] for job in self.jobs], device=device)
        begin = torch.tensor(self._begin, device=device)[:, None]
        columns = torch.arange(line.start, line.end + 1, device=device)[None]
        logits = self._model(
            input_ids=last,
            attention_mask=(columns >= begin).long(),
            position_ids=line.end - begin,
            past_key_values=line.given(),
            use_cache=True,
        ).logits[:, -1]
        line.end += 1
        self._say(self.jobs, logits)

    def _say(self, jobs: list[Job], logits: Any) -> None:
        tokens, close = self._choose(logits.float(), [job.draw() for job in jobs])
        for place, job in enumerate(jobs):
            if close[place]:
                tokens[place] = self._alone(job)
        for job, token in zip(jobs, tokens, strict=True):
            job.said.append(token)

    def _alone(self, job: Job) -> int:
        """The token that follows if nothing but this job is computed, without a cache."""
        import torch

        ids = torch.tensor([job.context], device=self._model.device)
        logits = self._model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1]
        return self._choose(logits.float(), [job.draw()])[0][0]
