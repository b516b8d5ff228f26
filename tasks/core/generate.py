"""Prompts -> the model's own answers, greedy or sampled, every one as if it were asked alone.

in   conversations that end with the user; where to keep the answers as they come
out  for each prompt, in the order asked, one Answer or several; each distinct prompt is asked once

Greedy is the likeliest token and nothing else, sampling has a temperature and a nucleus: other
settings in a model's generation_config.json (penalties, top_k) are not applied.
"""

import hashlib
import json
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.answers import Answer, journal_at
from tasks.core.choices import Choose, by_chance, likeliest
from tasks.core.decoding import REFILL, Batch, Job
from tasks.core.fields import Message
from tasks.core.progress import progress
from tasks.core.quick_weights import quick_weights
from tasks.core.render import prompt_ids


def generate(
    model: Any,
    tokenizer: Any,
    prompts: list[list[Message]],
    *,
    max_new_tokens: int,
    batch_size: int,
    title: str = "answers",
    journal: Path | None = None,
) -> list[Answer]:
    """Greedy answers, on CPU in fp32 the same whatever the batch size."""
    asked = _Asked(samples=1, most=max_new_tokens, choose=likeliest, settings={"greedy": True})
    found = _answers(model, tokenizer, prompts, asked, batch_size, title, journal)
    return [answers[0] for answers in found]


def sample(
    model: Any,
    tokenizer: Any,
    prompts: list[list[Message]],
    *,
    samples: int,
    temperature: float,
    top_p: float,
    seed: int,
    max_new_tokens: int,
    batch_size: int,
    title: str = "answers",
    journal: Path | None = None,
) -> list[list[Answer]]:
    """`samples` answers to each prompt; each depends on seed, prompt and its number alone."""
    asked = _Asked(
        samples=samples,
        most=max_new_tokens,
        choose=by_chance(temperature, top_p),
        settings={"temperature": temperature, "top_p": top_p, "seed": seed},
        seed=seed,
    )
    return _answers(model, tokenizer, prompts, asked, batch_size, title, journal)


@dataclass(frozen=True)
class _Asked:
    """What is wanted of every prompt."""

    samples: int
    most: int  # new tokens
    choose: Choose
    settings: dict[str, Any]  # of the choice, as far as they change an answer
    seed: int = 0


def _answers(
    model: Any,
    tokenizer: Any,
    prompts: list[list[Message]],
    asked: _Asked,
    batch_size: int,
    title: str,
    journal: Path | None,
) -> list[list[Answer]]:
    rendered = [tuple(prompt_ids(tokenizer, prompt)) for prompt in prompts]
    jobs = {
        (ids, number): _job(model, tokenizer, ids, number, asked)
        for ids in dict.fromkeys(rendered)
        for number in range(asked.samples)
    }
    with journal_at(journal) as kept, progress(title, len(jobs), "answer") as advance:
        known = {job.key: kept.find(job.key, job.most) for job in jobs.values()}
        found = {key: answer for key, answer in known.items() if answer is not None}
        advance(len(found))
        waiting = [job for job in jobs.values() if job.key not in found]
        with quick_weights(model) if waiting else nullcontext():
            for job, error in _decoded(model, waiting, batch_size, asked.choose):
                said = job.said[:-1] if job.finished else job.said
                text = tokenizer.decode(said, skip_special_tokens=True).strip()
                whole = job.finished and error is None
                found[job.key] = Answer(text, whole, error, tokens=len(job.said))
                kept.write(job.key, found[job.key])
                advance(1)
    return [[found[jobs[ids, n].key] for n in range(asked.samples)] for ids in rendered]


def _job(model: Any, tokenizer: Any, ids: tuple[int, ...], number: int, asked: _Asked) -> Job:
    room = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return Job(
        key=_digest([asked.settings, number, ids]),
        chance=_digest([asked.seed, number, ids]),
        ids=ids,
        most=asked.most if room is None else min(asked.most, room - len(ids)),
        stops=_stop_ids(model, tokenizer),
    )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    stops = model.generation_config.eos_token_id
    return frozenset(
        {tokenizer.eos_token_id, *(stops if isinstance(stops, list) else [stops])} - {None}
    )


def _decoded(
    model: Any, jobs: list[Job], batch_size: int, choose: Choose
) -> Iterator[tuple[Job, str | None]]:
    """(a job that is done, why it failed) as they come, the longest prompts first.

    Where memory does not suffice the batch is halved and goes on with what was said so far; a row
    that does not fit alone has failed, and the batch starts again at the size that was asked for.
    """
    import torch

    for job in jobs:
        if job.most <= 0:
            room = len(job.ids) + job.most
            told = "all" if job.most == 0 else "more than the"
            yield job, f"the prompt has {len(job.ids)} tokens, {told} {room} that the model reads"
    fits = [job for job in jobs if job.most > 0]
    waiting = deque(sorted(fits, key=lambda job: (-len(job.ids), job.ids)))
    size, batch = batch_size, Batch(model, choose)
    while waiting or batch.jobs:
        empty = size - len(batch.jobs)
        due = empty == size or (batch.joins and empty * REFILL >= size)
        new = [waiting.popleft() for _ in range(min(empty, len(waiting)))] if due else []
        asked = batch.jobs + new
        fits_memory = True
        try:
            with torch.inference_mode():
                if new:
                    batch.join(new)
                else:
                    batch.step()
                batch.leave()
        except (RuntimeError, MemoryError) as error:
            if not lacks_memory(error):
                raise
            fits_memory = False
        for job in asked:
            if job.done:
                yield job, None
        if fits_memory:
            continue
        batch = Batch(model, choose)  # what it held is freed before anything is tried again
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        again = [job for job in asked if not job.done]
        if len(asked) == 1 and again:
            yield again.pop(), "out of memory, with nothing else in the batch"
            size = batch_size
        else:
            size = max(1, len(asked) // 2)
        waiting.extendleft(reversed(again))


def lacks_memory(error: Exception) -> bool:
    """torch says it on the CPU in the words of a RuntimeError; on CUDA that is OutOfMemoryError."""
    words = ("out of memory", "not enough memory", "can't allocate memory", "ALLOC_FAILED")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)
