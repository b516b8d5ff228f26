"""Settings -> TRL's and peft's own objects. docs/training.md has the name of each there.

in   a recipe's sections, the machine, rows of pairs
out  a DPOTrainer that is ready to train: base and adapter in memory, pairs tokenised
"""

import logging
import math
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.errors import InputError
from tasks.core.machine import Effective, load_for_training, why_not_shared, without_weights
from tasks.core.models import ModelRef, load_tokenizer
from tasks.core.rows import Rows
from tasks.core.sampling import order_pairs
from tasks.core.sentences import TRAINING
from tasks.core.settings import ALL_LINEAR, Batch, Lora, Loss, Training, Watch

COLUMNS = ("prompt", "chosen", "rejected")
IDS = ["prompt_ids", "chosen_ids", "rejected_ids"]  # what TRL makes of them
PAIRS = "pairs"  # folder of both while a training is under way
LOWER_IS_BETTER = ("loss",)


@dataclass(frozen=True)
class Recipe:
    """What a training is known by, beside its pairs, base and code."""

    training: Training
    batch: Batch
    loss: Loss
    lora: Lora
    watch: Watch
    machine: Effective
    max_length: int


def steps_of(pairs: int, training: Training, batch: Batch) -> int:
    """epochs * ceil(pairs / pairs a step), rounded up, as transformers counts; max_steps caps it.

    Without epochs max_steps alone decides, and without both each pair is seen once.
    """
    epochs, cap = training.num_train_epochs, training.max_steps
    if epochs is None and cap is not None:
        return cap
    steps = math.ceil((epochs or 1) * steps_an_epoch(pairs, batch))
    return min(steps, cap or steps)


def steps_an_epoch(pairs: int, batch: Batch) -> int:
    """The last step of an epoch has fewer pairs where they are no multiple."""
    pairs_a_step = batch.per_device_train_batch_size * batch.gradient_accumulation_steps
    return math.ceil(pairs / pairs_a_step)


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


def trainer_for(base: ModelRef, train: Rows, validation: Rows, recipe: Recipe, work: Path) -> Any:
    """A DPOTrainer of the base with a fresh adapter. Raises InputError for modules not there."""
    from datasets import disable_progress_bars
    from transformers import PrinterCallback, ProgressCallback
    from trl.trainer.utils import disable_dropout_in_model

    require_modules(base, recipe.lora)
    # Checkpoints of one second are sorted by their steps, which is right and not worth a word.
    logging.getLogger("transformers.trainer_utils").setLevel(logging.ERROR)
    # peft and TRL ask for a name that transformers has replaced, at every training.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
    disable_progress_bars()  # of preparing the pairs, which takes seconds; tell() shows the rest
    model = load_for_training(base, recipe.machine)
    # TRL's disable_dropout comes after the adapter is on and would put out lora_dropout as well.
    disable_dropout_in_model(model)
    trainer = _trainer_class()(
        model=model,
        args=dpo_config(recipe, steps_of(len(train), recipe.training, recipe.batch), work),
        train_dataset=stored(train, work / PAIRS / "train"),
        eval_dataset=stored(validation, work / PAIRS / "validation"),
        processing_class=load_tokenizer(base),
        peft_config=lora_config(recipe.lora),
    )
    if why_not_shared(recipe.machine, model.config, recipe.max_length) is None:
        from tasks.core.lean_layers import lean_layers
        from tasks.core.shared_prompt import share_prompts

        keep_less = not recipe.machine.gradient_checkpointing
        share_prompts(trainer.model.get_base_model(), keep_less)
        lean_layers(trainer.model, keep_less)
    for name in ("train_dataset", "eval_dataset"):  # the text has been read
        setattr(trainer, name, getattr(trainer, name).select_columns(IDS))
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)
    order_pairs(trainer, recipe.batch.train_sampling_strategy)
    return trainer


def stored(rows: Rows, folder: Path) -> Any:
    """The pairs in a file that stays on disk while it is read; TRL puts their tokens beside it."""
    from datasets import Dataset, Features, Value
    from datasets.arrow_writer import ArrowWriter

    shutil.rmtree(folder, ignore_errors=True)  # of a training that was killed
    folder.mkdir(parents=True)
    path = str(folder / "pairs.arrow")
    message = {"role": Value("string"), "content": Value("string")}
    columns = Features({name: [message] for name in COLUMNS})
    with ArrowWriter(path=path, features=columns) as writer:
        for row in rows:
            writer.write({name: row[name] for name in COLUMNS})
        writer.finalize()
    return Dataset.from_file(path)


def _trainer_class() -> type[Any]:
    """DPOTrainer whose evaluation is a mean over pairs, and of tokens over tokens.

    TRL and transformers take the mean of the batches' means, where a last batch of 2 pairs weighs
    as much as one of 8.
    """
    from trl import DPOTrainer

    class OverPairs(DPOTrainer):  # type: ignore[misc]
        def __init__(self, *args: Any, **told: Any) -> None:
            self.scored: list[dict[str, float]] = []  # a batch each, of the evaluation under way
            super().__init__(*args, **told)

        def prediction_step(self, model: Any, inputs: Any, *args: Any, **told: Any) -> Any:
            found = super().prediction_step(model, inputs, *args, **told)
            # (2 * pairs, tokens): chosen, then rejected; 1 where a token is the answer's
            chosen, rejected = inputs["completion_mask"].chunk(2)
            counts = {"pairs": len(chosen), "chosen": int(chosen.sum())}
            counts["rejected"] = int(rejected.sum())
            self.scored.append({**counts, "loss": float(found[0])})
            return found

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            if self.scored:
                batches, self.scored = self.scored, []
                means = {"loss": [one["loss"] for one in batches], **self._metrics["eval"]}
                for name, values in means.items():
                    if len(values) == len(batches):  # but num_tokens, which is one count
                        weights = [_weight(name, one) for one in batches]
                        total = sum(w * v for w, v in zip(weights, values, strict=True))
                        self._metrics["eval"][name] = [total / sum(weights)]
            super().log(logs, start_time)

    return OverPairs


def _weight(name: str, batch: dict[str, float]) -> float:
    """What a batch counts for in a metric of TRL's: its tokens, or its pairs."""
    sides = {
        "mean_token_accuracy": ("chosen",),
        "entropy": ("chosen", "rejected"),
        "logits/chosen": ("chosen",),
        "logits/rejected": ("rejected",),
    }
    return sum(batch[side] for side in sides.get(name, ("pairs",)))


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
        per_device_train_batch_size=recipe.batch.per_device_train_batch_size,
        per_device_eval_batch_size=recipe.batch.per_device_train_batch_size,
        gradient_accumulation_steps=recipe.batch.gradient_accumulation_steps,
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
        save_total_limit=3,  # the newest, the one evaluated before it, the best
        metric_for_best_model=None if best == "last" else TRAINING[best],
        greater_is_better=best not in LOWER_IS_BETTER,
        logging_steps=1,
        logging_nan_inf_filter=False,  # it would write the mean of earlier losses instead
        report_to="none",
        use_cpu=not machine.on_gpu,
        bf16=machine.bf16 and machine.on_gpu,  # autocast; a CPU computes in what the weights are in
        activation_checkpointing=machine.gradient_checkpointing,
        dataloader_pin_memory=machine.on_gpu,
    )


def lora_config(lora: Lora) -> Any:
    from peft import LoraConfig, TaskType

    named = lora.target_modules
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=named[0] if named == ALL_LINEAR else list(named),
        use_rslora=lora.use_rslora,
        task_type=TaskType.CAUSAL_LM,
    )


def require_modules(base: ModelRef, lora: Lora) -> None:
    """Every name given is a linear layer of the model, and none is its output. Loads no weights."""
    if lora.target_modules == ALL_LINEAR:
        return
    import torch
    from transformers.pytorch_utils import Conv1D

    model = without_weights(base)
    head = model.get_output_embeddings()
    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    ]
    told = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
    for name in lora.target_modules:
        if not any(f".{layer}".endswith(f".{name}") for layer in linear):  # as peft finds them
            raise InputError(
                f"lora.target_modules: {name!r} is no linear layer of {type(model).__name__} that "
                f"can be trained; there are {told}. The output layer is none: "
                "TRL reads its weights and would pass the adapter by. all-linear takes all of them."
            )
