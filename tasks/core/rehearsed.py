"""What a rehearsal has shown: seconds of a step, tokens of a row, which limits its steps keep.

in   its TensorBoard files, the rows of its stages, facts of its training; the recipe in full
out  seconds; Known for the estimate; a Verdict for each limit
"""

import json
import math
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from tasks.core.gate import Verdict
from tasks.core.known_data import Known
from tasks.core.rehearse import demo_rows
from tasks.core.sentences import TRAINING, parse
from tasks.core.settings import Recipe
from tasks.core.sources import is_file


def step_seconds(tensorboard: Path) -> float:
    """Of the newest training: the shortest time from one logged step to the next, which is one
    without an evaluation in between."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    newest = max(tensorboard.iterdir(), key=lambda folder: folder.stat().st_mtime)
    events = EventAccumulator(str(newest)).Reload().Scalars("train/loss")
    times = [event.wall_time for event in events]
    return min((b - a for a, b in pairwise(times)), default=0.0)


def known_of(recipe: Recipe, lengths: list[int]) -> Known | None:
    """What the rehearsal has shown of the full data: where its rows are that data's own.

    `lengths`: tokens of each rehearsed pair, prompt and longer answer.
    """
    if recipe.seed is not None and recipe.data.path == recipe.seed.dataset:
        rows = demo_rows()
    elif is_file(recipe.data.path) and recipe.curation is None and recipe.on_policy is None:
        rows = None
    else:
        return None
    source = "in the rehearsed rows by the miniature's tokenizer"
    together = recipe.batch.per_device_train_batch_size
    return Known(rows, round(fmean(lengths)), source, longest_of(lengths, together))


def longest_of(lengths: list[int], drawn: int) -> int:
    """The longest of `drawn` lengths, on average: the k-th in order is it in C(k - 1, drawn - 1) of
    C(all, drawn) draws."""
    drawn = min(drawn, len(lengths))
    draws = math.comb(len(lengths), drawn)
    ordered = enumerate(sorted(lengths))
    return round(sum(math.comb(at, drawn - 1) * length for at, length in ordered) / draws)


def lengths_of(stages: Path, digest: str) -> list[int]:
    """Of the rows in the stage with this digest; `stages`: folder of all of them."""
    import polars as pl

    made = (path for path in stages.glob("*/done.json"))
    done = next(path for path in made if json.loads(path.read_text())["digest"] == digest)
    lengths: list[int] = pl.read_parquet(done.with_name("rows.parquet"))["tokens"].to_list()
    return lengths


def judged_limits(recipe: Recipe, training: dict[str, Any]) -> list[Verdict]:
    """`watch.limits`, which a rehearsal leaves out, against the metrics of its few steps."""
    verdicts = []
    for sentence in (parse(text, TRAINING) for text in recipe.watch.limits):
        value, threshold = training[sentence.metric], sentence.threshold(training["start"])
        met, plain = sentence.holds(value, threshold), sentence.word is None
        verdicts.append(Verdict(sentence.text, value, threshold, plain=plain, passed=met))
    return verdicts
