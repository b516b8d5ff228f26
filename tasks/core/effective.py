"""What a training will really do, before it begins: defaults of this machine, sizes, steps.

in   a recipe as tasks.core.train takes it, the base model, the number of pairs
out  name -> value for people, in the order in which they would ask
"""

import math
from typing import Any

from tasks.core.machine import why_not_shared, without_weights
from tasks.core.models import TINY, ModelRef
from tasks.core.settings import Lora, Training
from tasks.core.trainer import Recipe, evaluated_at, lora_config, steps_an_epoch, steps_of


def effective_settings(base: ModelRef, recipe: Recipe, pairs: int) -> dict[str, str]:
    training, machine, lora = recipe.training, recipe.machine, recipe.lora
    batch = recipe.batch
    pairs_a_step = batch.per_device_train_batch_size * batch.gradient_accumulation_steps
    steps = steps_of(pairs, training, batch)
    trainable, frozen = parameters(base, lora)
    threads = 1 if frozen < TINY else machine.threads  # as load_for_training has it
    watched = sorted(evaluated_at(steps, recipe.watch))
    named = ", ".join(map(str, watched[:6])) + (", ..." if len(watched) > 6 else "")
    losses = zip(recipe.loss.loss_weights, recipe.loss.loss_type, strict=True)
    return {
        "steps": f"{steps:,} of {pairs_a_step} pairs, "
        f"{steps / steps_an_epoch(pairs, batch):.3g} epochs",
        "evaluated after step": named,
        "learning rate": f"{training.learning_rate:g}, {training.lr_scheduler_type}",
        "warmup": _warmup(training, steps),
        "seed": str(training.seed),
        "loss": " + ".join(f"{weight:g} {name}" for weight, name in losses),
        "beta": f"{recipe.loss.beta:g}",
        "adapter": f"rank {lora.r}, alpha {lora.lora_alpha}, dropout {lora.lora_dropout:g}"
        + (", rsLoRA" if lora.use_rslora else ""),
        "target modules": ", ".join(lora.target_modules),
        "trainable parameters": f"{trainable:,} beside {frozen:,} frozen ones",
        "device": machine.device if machine.on_gpu else f"cpu, threads: {threads}",
        "number format": "4-bit (NF4)" if machine.load_in_4bit else machine.dtype,
        "gradient checkpointing": "on" if machine.gradient_checkpointing else "off",
        "forward": _forward(base, recipe),
        "attention": machine.attn_implementation or attention(base),
        "batches": batch.train_sampling_strategy,
        "reference": "kept" if machine.precompute_ref_log_probs else "computed at every step",
        "max_length": f"{recipe.max_length:,} tokens",
    }


def parameters(base: ModelRef, lora: Lora) -> tuple[int, int]:
    """(trained, frozen), counted on a model without weights."""
    import torch
    from peft import get_peft_model

    model: Any = without_weights(base)
    with torch.device("meta"):
        trainable, whole = get_peft_model(model, lora_config(lora)).get_nb_trainable_parameters()
    return trainable, whole - trainable


def attention(base: ModelRef) -> str:
    """The kernel that transformers takes for this model where none is asked for."""
    return str(without_weights(base).config._attn_implementation)


def _forward(base: ModelRef, recipe: Recipe) -> str:
    config = without_weights(base).config
    why = why_not_shared(recipe.machine, config, recipe.max_length)
    return f"TRL's own: {why}" if why else "each prompt once for both answers, no padding"


def _warmup(training: Training, steps: int) -> str:
    given = training.warmup_steps
    if given >= 1 or given == 0:
        return f"{given:g} steps"
    return f"{math.ceil(given * steps):,} steps, {given:g} of the run"  # as transformers rounds it
