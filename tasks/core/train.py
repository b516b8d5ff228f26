"""Pairs -> a LoRA adapter, by TRL's DPOTrainer. The reference is the same model, adapter off.

in   rows of train and validation, the base model, the recipe; reference log-probabilities if kept
out  adapter/ (peft), history.json (every logged metric); facts: steps, parameters, metrics

Checkpoints live in a work folder that outlives a kill; the next call with the same goes on there.
One that is interrupted (Ctrl-C, a cancelled run) saves the step it has finished before it ends.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core import tracking
from tasks.core.fields import Row
from tasks.core.models import ModelRef
from tasks.core.reference import attach, check_start
from tasks.core.rows import Rows
from tasks.core.sentences import TRAINING, parse
from tasks.core.stopping import keeping
from tasks.core.tracking import Trackers
from tasks.core.trainer import Recipe, steps_of, trainer_for
from tasks.core.watching import Diverged, named, watching, whole_checkpoints

__all__ = ["Recipe", "steps_of", "train_adapter"]

TIMINGS = ("_runtime", "_per_second")  # left out: equal trainings leave equal bytes


def train_adapter(
    base: ModelRef,
    train: Rows,
    validation: list[Row],
    recipe: Recipe,
    folder: Path,
    *,
    work: Path,
    reference: Path | None,
    trackers: Trackers,
) -> dict[str, Any]:
    """Train, save into `folder`, return facts.

    Raises Refused where the reference is of another model or other pairs, Diverged where a value is
    not finite or a limit of `watch` is broken; the checkpoints then stay in `work`.
    """
    work.mkdir(parents=True, exist_ok=True)
    validation = validation[: recipe.watch.max_eval_pairs]
    steps = steps_of(len(train), recipe.training, recipe.batch)
    found = whole_checkpoints(work)
    for torn in set(work.glob("checkpoint-*")) - set(found):
        shutil.rmtree(torn)
    trainer = trainer_for(base, train, validation, recipe, work)
    if reference is not None:
        attach(trainer, reference, train, validation)
    state: dict[str, Any] = {"global_step": 0, "log_history": []}
    if found:
        state = _state(found[-1])
    if not _is_done(state, steps, recipe):
        before = state["global_step"]
        if before == 0:
            check_start(trainer)
            trainer.args.eval_on_start = True
        else:  # TRL counts tokens from zero again
            trainer._total_train_tokens = _tokens(state["log_history"])
        with tracking.tracked(trackers, before) as callbacks:
            watch = watching(recipe, steps, work, _start(state["log_history"]))
            kept = keeping()
            for callback in (*callbacks, watch, kept):  # what ends a run is written before it does
                trainer.add_callback(callback)
            try:
                trainer.train(resume_from_checkpoint=str(found[-1]) if found else None)
            except Diverged as error:
                error.history = trainer.state.log_history
                raise
            except BaseException as error:
                if not isinstance(error, Exception):  # somebody stops it; nothing is wrong with it
                    kept.keep(trainer)
                raise
        found = whole_checkpoints(work)
        state = _state(found[-1])
    best = state["best_global_step"] or state["global_step"]
    keep_adapter(work / f"checkpoint-{best}", base, folder / "adapter")
    history = [
        {name: value for name, value in entry.items() if not name.endswith(TIMINGS)}
        for entry in state["log_history"]
    ]
    (folder / "history.json").write_text(json.dumps(history, indent=1))
    trainable, total = trainer.model.get_nb_trainable_parameters()
    return {
        "steps": state["global_step"],
        "best_step": best,
        "epochs": round(state["epoch"], 4),
        "train_pairs": len(train),
        "validation_pairs": len(validation),
        "tokens": _tokens(history),
        "trainable_parameters": trainable,
        "parameters": total - trainable,
        "machine": recipe.machine.as_dict(),
        "start": _rounded(_start(history)),
    } | _rounded(_metrics_at(history, best))


def keep_adapter(checkpoint: Path, base: ModelRef, folder: Path) -> None:
    """peft's two files, naming the base by repository and commit instead of a local path."""
    folder.mkdir(parents=True)
    shutil.copy(checkpoint / "adapter_model.safetensors", folder)
    config = json.loads((checkpoint / "adapter_config.json").read_text())
    config |= {"base_model_name_or_path": base.repo, "revision": base.revision}
    config["target_modules"] = sorted(config["target_modules"])  # peft writes a set, in any order
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _state(checkpoint: Path) -> dict[str, Any]:
    return dict(json.loads((checkpoint / "trainer_state.json").read_text()))


def _is_done(state: Mapping[str, Any], steps: int, recipe: Recipe) -> bool:
    """True of a training that was killed after its last checkpoint."""
    step, enough = state["global_step"], recipe.watch.stop_when
    if step == 0 or enough is None:
        return bool(step == steps)
    sentence, history = parse(enough, TRAINING), state["log_history"]
    value = _metrics_at(history, step).get(sentence.metric)  # None: saved between two evaluations
    met = value is not None and sentence.holds(value, sentence.threshold(_start(history)))
    return bool(step == steps or met)


def _tokens(history: list[dict[str, Any]]) -> int:
    """Seen in training so far, prompts among them, padding not."""
    return int(max((entry.get("num_tokens", 0) for entry in history), default=0))


def _start(history: list[dict[str, Any]]) -> dict[str, float]:
    return _metrics_at(history, 0)


def _metrics_at(history: list[dict[str, Any]], step: int) -> dict[str, float]:
    found = [entry for entry in history if entry["step"] == step and "eval_loss" in entry]
    return named(found[0]) if found else {}


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in metrics.items()}
