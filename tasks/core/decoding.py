"""Decoding with a batch whose rows come and go: prefill, one step.

in   jobs: token ids of a prompt, what was said so far, where its randomness comes from
out  one token more for every job of the batch, the same whatever else is in the batch

Rounding differs with the shape of a batch. Where a choice is as close as that (choices.py) it is
made from the logits of that one row computed alone, so that no answer depends on its neighbours.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from tasks.core.choices import Choose
from tasks.core.time_line import OwnCache, TimeLine
from tasks.core.unpadded import (
    Own,
    Prompts,
    Rows,
    attending,
    groups,
    no_mask,
    own,
    possible,
    side_by_side,
)

REFILL = 8  # a batch is filled up again when one in so many of its rows is empty
# Tokens of prompts read at once. On a CPU what a layer makes of 512 stays in its cache: 2048 were a
# fifth slower, and 128 no quicker. A GPU has more to keep busy.
PREFILL = {"cpu": 512, "cuda": 8192}
SHARED = 32  # tokens; a shorter common beginning is read sooner than it is looked up

Context = tuple[int, ...]


@dataclass
class Job:
    """One answer to be: `most` tokens at most."""

    key: str  # what was asked and how, as the journal has it
    chance: str  # what its draws come from
    ids: Context
    most: int
    stops: frozenset[int]
    said: list[int] = field(default_factory=list)

    @property
    def context(self) -> Context:
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


@dataclass(frozen=True)
class Known:
    """How many tokens of a prompt a row of the batch holds already, and which row."""

    tokens: int = 0
    row: int = 0


@dataclass(frozen=True)
class Read:
    """Prompts after their forward pass: where the keys of each lie, and the logits of its end."""

    line: TimeLine | OwnCache
    places: list[tuple[int, slice]]  # row and columns
    logits: Any


def common(one: Context, other: Context) -> int:
    """Tokens with which both begin."""
    differs = (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differs, min(len(one), len(other)))


class Batch:
    """Jobs that are being answered, a row each."""

    def __init__(self, model: Any, choose: Choose) -> None:
        self.jobs: list[Job] = []
        self.joins = not any(OwnCache(model).cache.is_linear)  # new rows, while others are there
        self._unpadded = possible(model)
        self._model, self._choose = model, choose
        self._line: TimeLine | OwnCache = TimeLine()
        self._begin: list[int] = []  # the first column of each row
        self._together: list[slice] = []  # rows that are seen in one call; none: not yet known

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
            self._together = []

    def join(self, jobs: list[Job]) -> None:
        """Read the prompts of new jobs, each distinct one once, and say their first token."""
        rows = len(self.jobs) + len(jobs)
        while jobs:
            reading, prompts = self._next(jobs)
            jobs = jobs[len(reading) :]
            read = self._read_flat(prompts) if self._unpadded else self._read(prompts)
            at = [list(prompts).index(job.context) for job in reading]
            self._seat(reading, [list(prompts.values())[n] for n in at], read, at, rows)
            self._say(reading, read.logits[at])

    def _next(self, jobs: list[Job]) -> tuple[list[Job], dict[Context, Known]]:
        """The jobs that are read at once, and their distinct prompts.

        One that begins as another of them is read after it, when its beginning is there.
        """
        most = PREFILL[self._model.device.type]
        prompts: dict[Context, Known] = {}
        tokens = 0
        for place, job in enumerate(jobs):
            if job.context in prompts:
                continue
            known = self._known(job.context) if self._unpadded else Known()
            if self._unpadded:
                tokens += len(job.context) - known.tokens
                alike = any(common(one, job.context) >= known.tokens + SHARED for one in prompts)
            else:
                tokens = max(map(len, [*prompts, job.context])) * (len(prompts) + 1)
                alike = False
            if self.joins and prompts and (alike or tokens > most):
                return jobs[:place], prompts
            prompts[job.context] = known
        return jobs, prompts

    def _known(self, context: Context) -> Known:
        """The row whose prompt begins most like this one. A last token is always read."""
        alike = [Known(common(job.ids, context[:-1]), n) for n, job in enumerate(self.jobs)]
        most = max(alike, key=lambda known: known.tokens, default=Known())
        return most if most.tokens >= SHARED else Known()

    def _read_flat(self, prompts: dict[Context, Known]) -> Read:
        """One behind the other, each without what a row of the batch holds already."""
        import torch

        assert isinstance(self._line, TimeLine)
        found: list[Own] = []
        ids: list[int] = []
        positions: list[int] = []
        for context, known in prompts.items():
            begin = self._begin[known.row] if known.tokens else 0
            tokens = slice(len(ids), len(ids) + len(context) - known.tokens)
            found.append(own(tokens, known.row, slice(begin, begin + known.tokens)))
            ids += context[known.tokens :]
            positions += range(known.tokens, len(context))
        line = TimeLine()
        with attending(self._model):
            logits = self._model(
                input_ids=torch.tensor([ids]),
                attention_mask=no_mask(),
                position_ids=torch.tensor([positions]),
                past_key_values=line,
                use_cache=True,
                logits_to_keep=torch.tensor([one.tokens.stop - 1 for one in found]),
                seen=Prompts(found, self._line),
            ).logits[0]
        return Read(line, [(0, one.tokens) for one in found], logits)

    def _read(self, prompts: dict[Context, Known]) -> Read:
        """One below the other, padded on the left."""
        import torch

        line = TimeLine() if self.joins else OwnCache(self._model)
        width = max(map(len, prompts))
        device = self._model.device
        ids = torch.tensor([[0] * (width - len(one)) + list(one) for one in prompts])
        before = torch.tensor([[width - len(one)] for one in prompts])
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
        places = [(row, slice(width - len(one), width)) for row, one in enumerate(prompts)]
        return Read(line, places, logits)

    def _seat(
        self, jobs: list[Job], known: list[Known], read: Read, at: list[int], rows: int
    ) -> None:
        """Give each job a row, of `rows` in all, and put what was read of its prompt there."""
        line = self._line
        if isinstance(line, TimeLine) and isinstance(read.line, TimeLine):
            line.keys = line.keys or [keys[:0] for keys in read.line.keys]
            line.values = line.values or [values[:0] for values in read.line.values]
            self._reserve(rows, max(len(job.context) for job in jobs))
            for place, held in zip(at, known, strict=True):
                line.add(read.line, *read.places[place])
                if held.tokens:
                    line.prepend(held.row, self._begin[held.row], held.tokens)
        else:
            line = self._line = read.line
            line.keep(at)
        self.jobs += jobs
        self._begin += [line.end - len(job.context) for job in jobs]
        line.forget(min(self._begin))
        self._together = []

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
        told = {
            "input_ids": last,
            "position_ids": line.end - begin,
            "past_key_values": line.given(),
            "use_cache": True,
        }
        self._together = self._together or self._side_by_side()
        if self._unpadded and isinstance(line, TimeLine):
            seen = Rows(groups(self._begin, self._together, line))
            with attending(self._model):
                logits = self._model(attention_mask=no_mask(), seen=seen, **told).logits[:, -1]
        else:
            columns = torch.arange(line.start, line.end + 1, device=device)[None]
            logits = self._model(attention_mask=(columns >= begin).long(), **told).logits[:, -1]
        line.end += 1
        self._say(self.jobs, logits)

    def _side_by_side(self) -> list[slice]:
        """Rows that are seen in one call; what is seen before one of them holds numbers."""
        found = [slice(0, len(self.jobs))]
        if self._unpadded and isinstance(self._line, TimeLine):
            found = side_by_side(self._begin, self._line)
        for rows in found:
            first = min(self._begin[rows])
            for row in range(rows.start, rows.stop):
                self._line.blank(row, first)
        return found

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
