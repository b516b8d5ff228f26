"""Pairs -> a LoRA adapter. Called directly, not submitted: one GPU should hold one model."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tasks.core import curves, machine, reference, train
from tasks.core import rows as rows_file
from tasks.core.effective import effective_settings
from tasks.core.fields import Row
from tasks.core.models import ModelRef
from tasks.core.rows import of_split
from tasks.core.settings import Recipe
from tasks.core.stage import Folder, work_folder
from tasks.core.sweep import candidates
from tasks.core.tracking import Trackers
from tasks.core.trainer import steps_of
from tasks.staged import embedded, log, markdown, run_folder, stage_task, staged

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate")
SECTIONS = {"training", "loss", "lora", "watch"}
NUMBER_FORMAT = ("device", "dtype", "load_in_4bit", "attn_implementation")


@stage_task("reference")
def keep_reference(base: ModelRef, pairs: Folder, recipe: Recipe) -> Folder | None:
    """Log-probabilities of every pair under the base, for all trainings on them; None: not kept.

    They pay where a pair is scored again: in a later epoch, or by the next candidate of a sweep.
    """
    sides, length = _sides(pairs, recipe), recipe.data.max_length
    training = recipe.training
    pairs_a_step = training.per_device_train_batch_size * training.gradient_accumulation_steps
    again = steps_of(len(sides[0]), training) * pairs_a_step > len(sides[0])
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
    return staged("reference", made_from, (reference, rows_file), make, PACKAGES)


@stage_task("train")
def train_lora(base: ModelRef, pairs: Folder, kept: Folder | None, recipe: Recipe) -> Folder:
    """facts: steps, trainable parameters, the metrics of the best checkpoint."""
    train_rows, validation_rows = _sides(pairs, recipe)
    here = machine.effective(recipe.machine, each_pair_again=False)
    how = train.Recipe(
        training=recipe.training,
        loss=recipe.loss,
        lora=recipe.lora,
        watch=recipe.watch,
        machine=replace(here, precompute_ref_log_probs=kept is not None),
        max_length=recipe.data.max_length,
    )
    made_from = {
        "pairs": pairs.digest,
        "base": str(base),
        "reference": kept and kept.digest,
        **recipe.model_dump(mode="json", include=SECTIONS),
        "machine": asdict(how.machine),
        "max_length": how.max_length,
    }
    name = recipe.tracking.run_name or (
        f"{recipe.release.repository.rpartition('/')[2]}"
        f"-lr{recipe.training.learning_rate:g}-beta{recipe.loss.beta:g}"
    )
    settings = effective_settings(base, how, len(train_rows))
    log("\n".join(["train: effective settings:", *(f"  {k}: {v}" for k, v in settings.items())]))
    markdown("effective-settings", "Effective settings of the training", _table(settings))

    def make(folder: Path) -> dict[str, Any]:
        # `folder` is thrown away after a kill; what is under way lives beside the stages.
        key = folder.name.strip(".").removesuffix(".unfinished")
        trackers = Trackers(
            work_folder() / "tensorboard" / f"{name}-{key[-6:]}", name, recipe.tracking, made_from
        )
        return train.train_adapter(
            base,
            train_rows,
            validation_rows,
            how,
            folder,
            work=work_folder() / "training" / key,
            reference=kept and kept.path,
            trackers=trackers,
        )

    folder = staged("train", made_from, (train, rows_file), make, PACKAGES)
    _show(folder, name, recipe)
    return folder


def _show(folder: Folder, name: str, recipe: Recipe) -> None:
    """The run page's picture and table; the picture lies in the run's folder as well."""
    drawn = run_folder() / f"training-{name}.png"
    history = json.loads((folder.path / "history.json").read_text())
    best, limits = folder.facts["best_step"], recipe.watch.limits
    curves.draw(history, drawn, f"Training of {name}", best_step=best, limits=limits)
    told = {key: value for key, value in folder.facts.items() if not isinstance(value, dict)}
    markdown("training", f"Training of {name}", f"{embedded(drawn)}\n\n{_table(told)}")


def _table(values: dict[str, Any]) -> str:
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {told} |" for name, told in values.items())


def _sides(pairs: Folder, recipe: Recipe) -> tuple[list[Row], list[Row]]:
    validation = of_split(pairs, "validation")[: recipe.watch.max_eval_pairs]
    return of_split(pairs, "train"), validation
