"""Pairs -> a LoRA adapter, by TRL's DPOTrainer. The reference is the same model, adapter off.

in   rows of train and validation, the base model, TRL's own settings
out  adapter/ (peft), history.json (every logged metric); facts: steps, parameters, metrics
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from tasks.core.errors import Refused
from tasks.core.fields import Row
from tasks.core.models import ModelRef, device, load_model, load_tokenizer
from tasks.core.progress import EVERY, tell

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TIMINGS = ("_runtime", "_per_second")  # left out: equal trainings leave equal bytes
MARGIN_AT_START = 1e-4  # nats; a fresh LoRA adds exactly zero, the rest is rounding
WATCHED = {
    "eval_loss": "eval_loss",
    "eval_rewards/chosen": "chosen_rewards",
    "eval_rewards/rejected": "rejected_rewards",
    "eval_rewards/accuracies": "reward_accuracy",
    "eval_rewards/margins": "reward_margin",
    "eval_mean_token_accuracy": "token_accuracy",
}


@dataclass(frozen=True)
class Recipe:
    """What TRL and peft are told, by their own names; see tasks.core.settings for the meaning."""

    learning_rate: float
    max_steps: int
    per_device_train_batch_size: int
    warmup_steps: int
    eval_steps: int
    seed: int
    max_length: int
    beta: float
    loss_type: tuple[str, ...]
    loss_weights: tuple[float, ...]
    r: int
    lora_alpha: int
    lora_dropout: float
    stop_at_token_accuracy: float | None


def train_adapter(
    model_ref: ModelRef, train: list[Row], validation: list[Row], recipe: Recipe, folder: Path
) -> dict[str, Any]:
    """Train, save into `folder`, return facts. Raises Refused when a metric is not finite."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig, TaskType
    from transformers import ProgressCallback
    from trl import DPOConfig, DPOTrainer

    on_gpu = device() == "cuda"
    config = DPOConfig(
        output_dir=str(folder / "trainer"),
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=recipe.warmup_steps,
        max_steps=recipe.max_steps,
        per_device_train_batch_size=recipe.per_device_train_batch_size,
        per_device_eval_batch_size=recipe.per_device_train_batch_size,
        max_length=recipe.max_length,
        beta=recipe.beta,
        loss_type=list(recipe.loss_type),
        loss_weights=list(recipe.loss_weights),
        # Once for every pair pays only where each is seen more than once.
        precompute_ref_log_probs=recipe.max_steps * recipe.per_device_train_batch_size > len(train),
        eval_strategy="steps",
        eval_steps=min(recipe.eval_steps, recipe.max_steps),
        eval_on_start=True,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        seed=recipe.seed,
        use_cpu=not on_gpu,
        bf16=on_gpu and torch.cuda.is_bf16_supported(),
        activation_checkpointing=on_gpu,
        dataloader_pin_memory=on_gpu,
    )
    columns = ("prompt", "chosen", "rejected")
    trainer = DPOTrainer(
        model=load_model(model_ref),
        args=config,
        train_dataset=Dataset.from_list([{k: row[k] for k in columns} for row in train]),
        eval_dataset=Dataset.from_list([{k: row[k] for k in columns} for row in validation]),
        processing_class=load_tokenizer(model_ref),
        peft_config=LoraConfig(
            r=recipe.r,
            lora_alpha=recipe.lora_alpha,
            lora_dropout=recipe.lora_dropout,
            target_modules=list(PROJECTIONS),
            task_type=TaskType.CAUSAL_LM,
        ),
    )
    trainer.remove_callback(ProgressCallback)
    for callback in _callbacks(recipe.stop_at_token_accuracy):
        trainer.add_callback(callback)
    trainer.train()
    trainable, total = trainer.model.get_nb_trainable_parameters()
    save_adapter(trainer.model, model_ref, folder / "adapter")
    history = [
        {name: value for name, value in entry.items() if not name.endswith(TIMINGS)}
        for entry in trainer.state.log_history
    ]
    (folder / "history.json").write_text(json.dumps(history, indent=1))
    evaluations = [entry for entry in history if "eval_loss" in entry]
    first, last = evaluations[0], evaluations[-1]
    return {
        "steps": trainer.state.global_step,
        "train_pairs": len(train),
        "validation_pairs": len(validation),
        "trainable_parameters": trainable,
        "parameters": total - trainable,
        "token_accuracy_before": round(first["eval_mean_token_accuracy"], 6),
    } | {ours: round(last[theirs], 6) for theirs, ours in WATCHED.items()}


def save_adapter(model: Any, base: ModelRef, folder: Path) -> None:
    """peft's two files, naming the base by repository and commit instead of a local path."""
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)  # peft's empty card; ours is rendered later
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config |= {"base_model_name_or_path": base.repo, "revision": base.revision}
    config["target_modules"] = sorted(config["target_modules"])  # peft writes a set, in any order
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _callbacks(stop_at_token_accuracy: float | None) -> list[Any]:
    from transformers import ProgressCallback, TrainerCallback

    class Bar(ProgressCallback):  # type: ignore[misc]
        """The progress bar alone: the metrics of every step stand in history.json."""

        def on_log(self, *_: Any, **__: Any) -> None:
            pass

    class Watch(TrainerCallback):  # type: ignore[misc]
        """Stops a run that is done or broken, and one whose reference is wrong at step 0."""

        told = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if monotonic() - self.told >= EVERY:
                self.told = monotonic()
                tell("training", state.global_step, state.max_steps)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            for name, value in (logs or {}).items():
                if isinstance(value, float) and not math.isfinite(value):
                    raise Refused(
                        f"training diverged: {name} is {value} at step {state.global_step}. "
                        "Lower training.learning_rate, or raise loss.beta."
                    )

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            tell("training", state.global_step, state.global_step)

        def on_evaluate(
            self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any
        ) -> None:
            margin = metrics["eval_rewards/margins"]
            if state.global_step == 0 and abs(margin) > MARGIN_AT_START:
                raise Refused(
                    f"the reference is wrong: a fresh adapter has margin {margin:.2e} at step 0, "
                    f"not 0 (limit {MARGIN_AT_START:.0e})."
                )
            accuracy = metrics["eval_mean_token_accuracy"]
            reached = stop_at_token_accuracy is not None and accuracy >= stop_at_token_accuracy
            if state.global_step > 0 and reached:
                control.should_training_stop = True

    return [Bar(), Watch()]
