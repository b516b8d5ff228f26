"""Rows -> train, validation and test by prompt: seeded, and stable when rows are added.

in   rows.parquet with "prompt"
out  the same rows with "split"; all rows of one prompt, as the D1 check compares it, share one
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from expectations.measures.chunk import question
from expectations.measures.splits import question_key
from tasks.core.aside import set_aside
from tasks.core.errors import InputError
from tasks.core.fields import Row
from tasks.core.rows import batches_of, copy_rows


def split_file(
    source: Path,
    target: Path,
    *,
    validation: float,
    test: float,
    seed: int,
    max_train: int | None,
    max_test: int,
    held_out: Iterable[str] = (),
) -> tuple[dict[str, int], list[Row]]:
    """(rows of each split, set aside beyond the caps). `held_out` questions always go to test.

    A prompt's place is sha256(seed, prompt) read as a number in [0, 1): adding rows moves none.
    """
    asked = prompt_keys([[{"role": "user", "content": text}] for text in held_out])
    questions = {_place(key, seed) for key in asked}
    limits = {"train": max_train, "validation": max_test, "test": max_test}
    prompts: dict[str, set[float]] = {name: set() for name in limits}
    names: list[str] = []
    keep: list[bool] = []
    aside: list[Row] = []
    for batch in batches_of(source):
        for at, key in enumerate(_keys(batch)):
            place = _place(key, seed)
            name = "validation" if place < test + validation else "train"
            if place < test or place in questions:
                name = "test"
            limit = limits[name]
            fits = limit is None or place in prompts[name] or len(prompts[name]) < limit
            names.append(name)
            keep.append(fits)
            if fits:
                prompts[name].add(place)
            else:
                row = batch.row(at, named=True)
                reason = f"beyond the first {limit} {name} prompts"
                text = row["prompt"][-1]["content"]
                aside.append(set_aside(row["row"], "beyond-cap", reason, text))
    counts = Counter(name for name, kept in zip(names, keep, strict=True) if kept)
    for name in limits:
        if not counts[name]:
            raise InputError(
                f"splits: none of {len(names)} usable rows falls into {name} ({dict(counts)}). "
                "Give more distinct prompts, or change splits.validation, splits.test, "
                "splits.seed or, where rows were too long, reading.max_length."
            )
    copy_rows(source, target, keep, {"split": names})
    return dict(counts), aside


def prompt_keys(prompts: list[list[dict[str, str]]]) -> list[str]:
    """What makes two prompts the same: neither case, punctuation nor a system message counts."""
    if not prompts:
        return []
    return _keys(pl.DataFrame({"prompt": prompts}))


def _keys(frame: pl.DataFrame) -> list[str]:
    keys: list[str] = frame.select(key=question_key(question()))["key"].to_list()
    return keys


def _place(key: str, seed: int) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed}\n{key}".encode()).digest()[:8]) / 2**64
