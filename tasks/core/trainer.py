"""Settings -> TRL's and peft's own objects. docs/training.md has the name of each there.

in   a recipe's sections, the machine, rows of pairs
out  a DPOTrainer that is ready to train: base and adapter in memory, pairs tokenised
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.errors import InputError
from tasks.core.fields import Row
from tasks.core.machine import Effective, load_for_training
from tasks.core.models import ModelRef, load_tokenizer
from tasks.core.sentences import TRAINING
from tasks.core.settings import Lora, Loss, Training, Watch

COLUMNS = ("prompt", "chosen", "rejected")
LOWER_IS_BETTER = ("loss",)


@dataclass(frozen=True)
class Recipe:
    """What a training is known by, beside its pairs, base and code."""

    training: Training
    loss: Loss
    lora: Lora
    watch: Watch
    machine: Effective
    max_length: int


def steps_of(pairs: int, training: Training) -> int:
    """epochs * ceil(pairs / pairs a step), rounded up, as transformers counts; max_steps caps it.

    Without epochs max_steps alone decides, and without both each pair is seen once.
    """
    pairs_a_step = training.per_device_train_batch_size * training.gradient_accumulation_steps
    epochs, cap = training.num_train_epochs, training.max_steps
    if epochs is None and cap is not None:
        return cap
    steps = math.ceil((epochs or 1) * math.ceil(pairs / pairs_a_step))
    return min(steps, cap or steps)


def evaluated_at(steps: int, watch: Watch) -> frozenset[int]:
    """After which steps the validation pairs are scored; always after the last one.

    A share is cut into equal parts: a quarter is four evaluations, the last of them at the end.
    """
    if watch.eval_steps >= 1:
        every = int(watch.eval_steps)
        return frozenset(range(every, steps, every)) | {steps}
    parts = math.floor(1 / watch.eval_steps + 1e-9)  # 1 / 0.05 is a little below 20
    found = {math.ceil(k * watch.eval_steps * steps - 1e-9) for k in range(1, parts + 1)}
    return frozenset(step for step in found if step <= steps) | {steps}


def trainer_for(
    base: ModelRef, train: list[Row], validation: list[Row], recipe: Recipe, work: Path
) -> Any:
    """A DPOTrainer of the base with a fresh adapter. Raises InputError for modules not there."""
    from datasets import Dataset
    from transformers import PrinterCallback, ProgressCallback
    from trl import DPOTrainer
    from trl.trainer.utils import disable_dropout_in_model

    model = load_for_training(base, recipe.machine)
    _require_modules(model, recipe.lora)
    # TRL's disable_dropout comes after the adapter is on and would put out lora_dropout as well.
    disable_dropout_in_model(model)
    trainer = DPOTrainer(
        model=model,
        args=dpo_config(recipe, steps_of(len(train), recipe.training), work),
        train_dataset=Dataset.from_list([{k: row[k] for k in COLUMNS} for row in train]),
        eval_dataset=Dataset.from_list([{k: row[k] for k in COLUMNS} for row in validation]),
        processing_class=load_tokenizer(base),
        peft_config=lora_config(recipe.lora),
    )
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)
    if recipe.machine.train_sampling_strategy == "group_by_length":
        group_by_length(trainer)
    return trainer


def dpo_config(recipe: Recipe, steps: int, work: Path) -> Any:
    from trl import DPOConfig

    training, loss, machine = recipe.training, recipe.loss, recipe.machine
    best = recipe.watch.metric_for_best_model
    return DPOConfig(
        output_dir=str(work),
        learning_rate=training.learning_rate,
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(
            training.lr_scheduler_type, training.lr_scheduler_type
        ),
        warmup_steps=training.warmup_steps,
        max_steps=steps,
        per_device_train_batch_size=training.per_device_train_batch_size,
        per_device_eval_batch_size=training.per_device_train_batch_size,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        seed=training.seed,
        max_length=recipe.max_length,
        beta=loss.beta,
        loss_type=list(loss.loss_type),
        loss_weights=list(loss.loss_weights),
        label_smoothing=loss.label_smoothing,
        disable_dropout=False,  # done before, on the base alone
        precompute_ref_log_probs=False,  # ours come from a stage of their own
        # The last step is TRL's; those before it are asked for by tasks.core.watching.
        eval_strategy="steps",
        eval_steps=steps,
        save_strategy="steps",
        save_steps=steps,
        save_total_limit=2,  # the newest and the best
        metric_for_best_model=None if best == "last" else TRAINING[best],
        greater_is_better=best not in LOWER_IS_BETTER,
        logging_steps=1,
        logging_nan_inf_filter=False,  # it would write the mean of earlier losses instead
        report_to="none",
        use_cpu=not machine.on_gpu,
        bf16=machine.bf16,
        activation_checkpointing=machine.gradient_checkpointing,
        dataloader_pin_memory=machine.on_gpu,
    )


def lora_config(lora: Lora) -> Any:
    from peft import LoraConfig, TaskType

    modules = lora.target_modules
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=modules if isinstance(modules, str) else list(modules),
        use_rslora=lora.use_rslora,
        task_type=TaskType.CAUSAL_LM,
    )


def _require_modules(model: Any, lora: Lora) -> None:
    """Every name given is a linear layer of the model, and none is its output."""
    import torch

    if lora.target_modules == "all-linear":
        return
    head = model.get_output_embeddings()
    linear = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }
    for name in lora.target_modules:
        if name.rpartition(".")[2] not in linear:
            raise InputError(
                f"lora.target_modules: {name!r} is no linear layer of {type(model).__name__} that "
                f"can be trained; there are {', '.join(sorted(linear))}. The output layer is none: "
                "TRL reads its weights and would pass the adapter by. all-linear takes all of them."
            )


def group_by_length(trainer: Any) -> None:
    """Batches of like length, in an order that depends on seed and epoch alone, so it resumes.

    transformers' own sampler looks for a column that TRL's rows do not have, and draws from the
    global random state, which is another one after a resume.
    """
    import torch
    from transformers.trainer_pt_utils import get_length_grouped_indices

    args = trainer.args
    lengths = [
        len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))
        for row in trainer.train_dataset
    ]

    class ByLength(torch.utils.data.Sampler):  # type: ignore[misc]
        epoch = 0

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

        def __len__(self) -> int:
            return len(lengths)

        def __iter__(self) -> Any:
            drawn = torch.Generator().manual_seed(args.seed + self.epoch)
            size = args.train_batch_size * args.gradient_accumulation_steps
            return iter(get_length_grouped_indices(lengths, size, generator=drawn))

    trainer._get_train_sampler = lambda *_: ByLength()
