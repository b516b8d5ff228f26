"""Rows -> train, validation and test by prompt: seeded, and stable when rows are added.

in   rows with "prompt"
out  the same rows with "split"; all rows of one prompt, as the D1 check compares it, share one
"""

import hashlib
from collections import Counter
from collections.abc import Iterable

import polars as pl

from expectations.measures.chunk import question
from expectations.measures.splits import question_key
from tasks.core.errors import InputError
from tasks.core.reformat import Row, set_aside


def split_rows(
    rows: list[Row],
    *,
    validation: float,
    test: float,
    seed: int,
    max_train: int | None,
    max_test: int,
    held_out: Iterable[str] = (),
) -> tuple[list[Row], list[Row]]:
    """(rows with "split", set aside beyond the caps). `held_out` questions always go to test.

    A prompt's place is sha256(seed, prompt) read as a number in [0, 1): adding rows moves none.
    """
    questions = set(prompt_keys([[{"role": "user", "content": text}] for text in held_out]))
    limits = {"train": max_train, "validation": max_test, "test": max_test}
    prompts: dict[str, set[str]] = {name: set() for name in limits}
    kept, aside = [], []
    for row, key in zip(rows, prompt_keys([row["prompt"] for row in rows]), strict=True):
        place = _place(key, seed)
        name = "test" if place < test else "validation" if place < test + validation else "train"
        if key in questions:
            name = "test"
        limit = limits[name]
        if limit is not None and key not in prompts[name] and len(prompts[name]) >= limit:
            reason = f"beyond the first {limit} {name} prompts"
            aside.append(set_aside(row["row"], reason, row["prompt"][-1]["content"]))
            continue
        prompts[name].add(key)
        kept.append(row | {"split": name})
    counts = Counter(row["split"] for row in kept)
    for name in limits:
        if not counts[name]:
            raise InputError(
                f"splits: none of {len(rows)} usable rows falls into {name} ({dict(counts)}). Give "
                "more distinct prompts, or change splits.validation, splits.test, splits.seed or, "
                "where rows were too long, data.max_length."
            )
    return kept, aside


def prompt_keys(prompts: list[list[dict[str, str]]]) -> list[str]:
    """What makes two prompts the same: neither case, punctuation nor a system message counts."""
    if not prompts:
        return []
    frame = pl.DataFrame({"prompt": prompts})
    keys: list[str] = frame.select(key=question_key(question()))["key"].to_list()
    return keys


def _place(key: str, seed: int) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed}\n{key}".encode()).digest()[:8]) / 2**64
