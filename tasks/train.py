"""Pairs -> a LoRA adapter. Called directly, not submitted: one GPU should hold one model."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from prefect.exceptions import TerminationSignal

from tasks.core import curves, machine, reference, train, trainer
from tasks.core import rows as rows_file
from tasks.core.effective import effective_settings
from tasks.core.fields import Row
from tasks.core.models import ModelRef
from tasks.core.rows import Rows, of_split, split_of
from tasks.core.settings import Recipe
from tasks.core.stage import Folder, work_folder
from tasks.core.sweep import candidates, run_name
from tasks.core.tracking import Trackers, slug
from tasks.core.trainer import steps_an_epoch, steps_of
from tasks.core.watching import Diverged, whole_checkpoints
from tasks.staged import log, run_folder, stage_task, staged
from tasks.story import embedded, markdown

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate")
SECTIONS = {"training", "batch", "loss", "lora", "watch"}
NUMBER_FORMAT = ("device", "dtype", "load_in_4bit", "attn_implementation", "shared_prompt")


@stage_task("reference")
def keep_reference(base: ModelRef, pairs: Folder, recipe: Recipe) -> Folder | None:
    """Log-probabilities of every pair under the base, for all trainings on them; None: not kept.

    They pay where a pair is scored again: in a later epoch, or by the next candidate of a sweep.
    """
    sides, length = _sides(pairs, recipe), recipe.reading.max_length
    count, batch = len(sides[0]), recipe.batch
    again = steps_of(count, recipe.training, batch) > steps_an_epoch(count, batch)
    how = machine.effective(recipe.machine, again or len(candidates(recipe)) > 1)
    if not how.precompute_ref_log_probs:
        return None

    def make(folder: Path) -> dict[str, Any]:
        return reference.reference_logps(base, *sides, how, length, folder)

    made_from = {
        "pairs": pairs.digest,
        "base": str(base),  # its chat template among its files
        "max_eval_pairs": recipe.watch.max_eval_pairs,
        "max_length": length,
        "machine": {name: getattr(how, name) for name in NUMBER_FORMAT},
    }
    return staged("reference", made_from, (reference, rows_file), make, _packages(recipe))


@stage_task("train")
def train_lora(base: ModelRef, pairs: Folder, kept: Folder | None, recipe: Recipe) -> Folder:
    """facts: steps, trainable parameters, the metrics of the best checkpoint."""
    train_rows, validation_rows = _sides(pairs, recipe)
    here = machine.effective(recipe.machine, each_pair_again=False)
    how = train.Recipe(
        training=recipe.training,
        batch=recipe.batch,
        loss=recipe.loss,
        lora=recipe.lora,
        watch=recipe.watch,
        machine=replace(here, precompute_ref_log_probs=kept is not None),
        max_length=recipe.reading.max_length,
    )
    made_from = {
        "pairs": pairs.digest,
        "base": str(base),
        "reference": kept and kept.digest,
        **recipe.model_dump(mode="json", include=SECTIONS),
        "machine": asdict(how.machine),
        "max_length": how.max_length,
    }
    name, tensorboard = run_name(recipe), work_folder() / "tensorboard"
    settings = effective_settings(base, how, len(train_rows))
    settings["TensorBoard"] = f"tensorboard --logdir {tensorboard}"
    log("\n".join(["train: effective settings:", *(f"  {k}: {v}" for k, v in settings.items())]))
    markdown(
        "training-settings",
        f"Settings of training {name}",
        _table(settings),
        f"at most {settings['steps']}",
    )

    def make(folder: Path) -> dict[str, Any]:
        # `folder` is thrown away after a kill; what is under way lives beside the stages.
        key = folder.name.strip(".").removesuffix(".unfinished")
        work = work_folder() / "training" / key
        trackers = Trackers(
            tensorboard / f"{slug(name)}-{key[-6:]}", name, recipe.tracking, made_from
        )
        if found := whole_checkpoints(work):
            step = found[-1].name.removeprefix("checkpoint-")
            steps = steps_of(len(train_rows), recipe.training, recipe.batch)
            log(f"train: going on from step {step} of {steps:,}, {found[-1]}")
        try:
            return train.train_adapter(
                base,
                train_rows,
                validation_rows,
                how,
                folder,
                work=work,
                reference=kept and kept.path,
                trackers=trackers,
            )
        except (KeyboardInterrupt, TerminationSignal):  # Ctrl-C, or a cancelled run
            left = whole_checkpoints(work)
            log(f"train: stopped; the next run goes on from {left[-1] if left else 'its start'}")
            raise
        finally:
            shutil.rmtree(work / trainer.PAIRS, ignore_errors=True)

    drawn, limits = run_folder() / f"training-{slug(name)}.png", recipe.watch.limits
    try:
        folder = staged("train", made_from, (train, rows_file), make, _packages(recipe))
    except Diverged as error:
        title = f"Training of {name}, which diverged"
        curves.draw(error.history, drawn, title, limits=limits)
        markdown("training", title, f"{embedded(drawn)}\n\n{error}", str(error))
        raise Diverged(f"{error} What was logged until then is drawn: {drawn}.") from None
    shutil.rmtree(work_folder() / "training" / folder.path.name, ignore_errors=True)
    history = json.loads((folder.path / "history.json").read_text())
    title, best = f"Training of {name}", folder.facts["best_step"]
    curves.draw(history, drawn, title, best_step=best, limits=limits)
    told = {key: value for key, value in folder.facts.items() if not isinstance(value, dict)}
    gist = f"{told['steps']:,} steps, the model of step {best:,} goes on"
    markdown("training", title, f"{embedded(drawn)}\n\n{_table(told)}", gist)
    return folder


def _table(values: dict[str, Any]) -> str:
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {told} |" for name, told in values.items())


def _packages(recipe: Recipe) -> tuple[str, ...]:
    return (*PACKAGES, "bitsandbytes") if recipe.machine.load_in_4bit else PACKAGES


def _sides(pairs: Folder, recipe: Recipe) -> tuple[Rows, list[Row]]:
    validation = of_split(pairs, "validation")[: recipe.watch.max_eval_pairs]
    return split_of(pairs, "train"), validation
