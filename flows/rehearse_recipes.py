"""Recipes on miniatures, one after the other: what was set smaller, how it went, how long in full.

in   checked recipes, the Hub of the rehearsal, on which they may write
out  a page of text for each on standard output; whether all of them came to a release
"""

import contextlib
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tasks.core import kept_estimates
from tasks.core.errors import InputError, Refused
from tasks.core.estimate import estimate
from tasks.core.hub import HubUnavailable
from tasks.core.miniatures import Shape
from tasks.core.rehearse import put_on_hub, smaller
from tasks.core.rehearsed import judged_limits, known_of, lengths_of, step_seconds
from tasks.core.settings import Recipe
from tasks.core.stage import work_folder


def rehearse_recipes(recipes: dict[str, tuple[Recipe, Shape, Shape | None]], hub: str) -> bool:
    """One that fails leaves the others their turn."""
    import torch

    threads = torch.get_num_threads()  # a miniature takes one, and the full model all of them
    failed = []
    for name, (recipe, shape, judge) in recipes.items():
        try:
            _rehearse(name, recipe, shape, judge, hub, threads)
        except (InputError, Refused, HubUnavailable) as error:
            failed.append(name)
            print(f"  failed: {error}", flush=True)
    told = f"{len(recipes) - len(failed)} of {len(recipes)} recipes came to a release"
    print(told + (f"; failed: {', '.join(failed)}" if failed else ""))
    return not failed


def _rehearse(
    name: str, recipe: Recipe, shape: Shape, judge: Shape | None, hub: str, threads: int
) -> None:
    import torch

    from flows.release_model import release_model

    print(f"\n{name}", flush=True)
    began = time.monotonic()
    small = smaller(recipe)
    with contextlib.redirect_stdout(sys.stderr):  # libraries print where data belongs
        torch.set_num_threads(1)
        with TemporaryDirectory(dir=work_folder()) as scratch:
            made = put_on_hub(small.recipe, shape, judge, Path(scratch), hub)
        fields = type(small.recipe).model_fields
        record = Path(release_model(**{key: getattr(small.recipe, key) for key in fields}))
        took = time.monotonic() - began
        torch.set_num_threads(threads)
        release = json.loads(record.read_text())
        full = _full(recipe, shape, release["stages"])
        kept_estimates.keep(work_folder().parent, recipe, full)  # this one is emptied
    _tell("made for it", made)
    _tell("set smaller", small.changes)
    _tell(f"went through every stage in {took:.0f} s", _went(release, recipe))
    _tell("the full run, on this machine", full)


def _full(recipe: Recipe, shape: Shape, stages: dict[str, str]) -> list[str]:
    pairs = stages.get("curate") or stages["split"]  # ready pairs pass curating untouched
    lengths = lengths_of(work_folder() / "stages", pairs)
    try:
        return estimate(shape, recipe, known_of(recipe, lengths))
    except InputError as error:  # a GPU's settings, as rehearsed without them
        return [f"no estimate: {error}"]


def _went(release: dict[str, Any], recipe: Recipe) -> list[str]:
    made = [one for one in release["seconds"] if not one["cached"]]
    batch, steps = recipe.batch, release["training"]["steps"]
    a_step = f"{batch.per_device_train_batch_size} x {batch.gradient_accumulation_steps}"
    took = step_seconds(work_folder() / "tensorboard")
    return [
        "seconds: " + ", ".join(f"{one['stage']} {one['seconds']:.1f}" for one in made),
        f"{steps} steps of the miniature: {took:.3f} s for one of {a_step} pairs at most",
        *(f"gate (reported, refuses nothing): {line}" for line in release["gate"]),
        *(
            f"watch.limits (reported, stops nothing), best step {release['training']['best_step']}:"
            f" {line}"
            for line in judged_limits(recipe, release["training"])
        ),
        "released here only: " + ", ".join(one["repo"] for one in release["repositories"].values()),
    ]


def _tell(title: str, lines: list[str]) -> None:
    print(f"  {title}")
    print(*(f"    {line}" for line in lines), sep="\n", flush=True)
