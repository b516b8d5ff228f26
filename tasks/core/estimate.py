"""How long a recipe would take here, from one decoder layer of its base timed at full width.

in   the base's shape, the recipe, tokens of a typical pair
out  sentences: the model's size, what was measured, steps, seconds a step, hours

A layer is timed as training runs it, with its LoRA: forward and backward of the policy, forward of
the reference, one token at a time for answers. A step is layers x layer + output layer, times
tokens: attention's quadratic share is that of the measured length, and neither data loading nor the
optimizer is in it. Memory that does not suffice shows in no such figure.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tasks.core.machine import Effective, effective
from tasks.core.miniatures import Shape
from tasks.core.settings import Lora, Recipe
from tasks.core.trainer import evaluated_at, lora_config, steps_of

MOST_TOKENS = 512  # of one text, as measured; longer ones count as many times its tokens
HEAD_TOKENS = 128  # logits of a large vocabulary fill memory sooner than anything else
HEAD_SHARE = 4  # a quarter of the vocabulary is timed, which is still far more than a cache holds
REPEATS = 3  # the fastest counts: whatever else runs on the machine only adds

# (data set, folder or split) -> (pairs, tokens of a prompt with one answer). Pairs as its card on
# the Hub says; tokens at 4.3 characters each, counted on a sample of a few hundred rows or more.
KNOWN = {
    ("Anthropic/hh-rlhf", None): (160_800, 180),
    ("Anthropic/hh-rlhf", "harmless-base"): (42_537, 170),
    ("Anthropic/hh-rlhf", "helpful-base"): (43_835, 190),
    ("HuggingFaceH4/ultrafeedback_binarized", None): (61_135, 430),
}
ASSUMED_TOKENS = 128  # where the data set is not known


@dataclass(frozen=True)
class Measured:
    """Seconds a token here; `answer`: seconds for the next token of a whole batch of answers."""

    train: float
    forward: float
    answer: float
    length: int  # tokens of a text when it was measured


@dataclass(frozen=True)
class Size:
    parameters: int
    trainable: int


def size_of(shape: Shape, lora: Lora) -> Size:
    """Parameters of the base, and of the adapter on it, without holding either."""
    import torch
    from peft import get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**shape.config))
        base = model.num_parameters()
        trainable, _ = get_peft_model(model, lora_config(lora)).get_nb_trainable_parameters()
    return Size(base, trainable)


def measure(shape: Shape, lora: Lora, machine: Effective, length: int, answers: int) -> Measured:
    """Two texts of `length` tokens, as the two sides of a pair; `answers` written at once."""
    length = min(length, MOST_TOKENS)
    train, forward, answer = (
        shape.config["num_hidden_layers"] * layer + head
        for layer, head in zip(
            _layer(shape.config, lora, machine, length, answers),
            _head(shape.config, machine, answers),
            strict=True,
        )
    )
    return Measured(train, forward, answer, length)


def _layer(
    config: dict[str, Any], lora: Lora, machine: Effective, length: int, answers: int
) -> tuple[float, float, float]:
    """Seconds of one layer: (a token trained, a token scored, the next token of a batch)."""
    import torch
    from peft import get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    one = config | {"num_hidden_layers": 1, "vocab_size": 8, "pad_token_id": 0}
    for name in ("layer_types", "bos_token_id", "eos_token_id"):
        one.pop(name, None)
    of_one = AutoConfig.for_model(**one)
    if machine.attn_implementation is not None:
        of_one._attn_implementation = machine.attn_implementation
    place, dtype = _place(machine)
    with place:
        layer = AutoModelForCausalLM.from_config(of_one, dtype=dtype)
        layer = get_peft_model(layer, lora_config(lora))
        # Gradients flow through the whole layer, as they do in all but the lowest.
        states = torch.randn(2, length, config["hidden_size"], dtype=dtype, requires_grad=True)
        written = torch.randn(answers, 1, config["hidden_size"], dtype=dtype)
    layer.train()

    def train() -> None:
        layer(inputs_embeds=states).logits.float().sum().backward()

    def forward(hidden: Any) -> None:
        with torch.no_grad():
            layer(inputs_embeds=hidden, use_cache=False)

    scored = _seconds(lambda: forward(states)) / (2 * length)
    trained = _seconds(train) / (2 * length)
    if machine.gradient_checkpointing:
        trained += scored  # each layer runs forward once more
    return trained, scored, _seconds(lambda: forward(written))


def _head(config: dict[str, Any], machine: Effective, answers: int) -> tuple[float, float, float]:
    """The same of the output layer: logits and their softmax, over the whole vocabulary."""
    import torch

    place, dtype = _place(machine)
    with place:
        words = config["vocab_size"] // HEAD_SHARE
        weight = torch.randn(words, config["hidden_size"], dtype=dtype)
        states = torch.randn(HEAD_TOKENS, config["hidden_size"], dtype=dtype, requires_grad=True)
        written = torch.randn(answers, config["hidden_size"], dtype=dtype)

    def train() -> None:
        (states @ weight.T).float().log_softmax(-1)[:, 0].sum().backward()

    def forward(hidden: Any) -> None:
        with torch.no_grad():
            (hidden @ weight.T).float().log_softmax(-1)

    a_token = HEAD_SHARE / HEAD_TOKENS
    scored, trained = _seconds(lambda: forward(states)) * a_token, _seconds(train) * a_token
    return trained, scored, _seconds(lambda: forward(written)) * HEAD_SHARE


def _place(machine: Effective) -> tuple[Any, Any]:
    import torch

    dtype = torch.bfloat16 if machine.bf16 else torch.float32
    return torch.device("cuda" if machine.on_gpu else "cpu"), dtype


def _seconds(run: Callable[[], None]) -> float:
    import torch

    def once() -> float:
        began = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - began

    once()  # memory is taken and kernels are chosen
    return min(once() for _ in range(REPEATS))


def pairs_and_tokens(recipe: Recipe) -> tuple[int | None, int | None]:
    """(training pairs, tokens of a prompt with one answer) of the full run, where known."""
    data = recipe.data
    rows, tokens = KNOWN.get((data.path, data.data_dir), (None, None))
    if rows is not None and data.max_rows is not None:
        rows = min(rows, data.max_rows)
    cap = recipe.splits.max_train
    if rows is None:
        return cap, tokens
    left = round(rows * (1 - recipe.splits.validation - recipe.splits.test))
    return min(left, cap or left), tokens


def estimate(shape: Shape, recipe: Recipe) -> list[str]:
    """What a person reads: each line a sentence with its numbers."""
    pairs, known = pairs_and_tokens(recipe)
    tokens = min(known or ASSUMED_TOKENS, recipe.data.max_length)
    training, watch = recipe.training, recipe.watch
    a_step = training.per_device_train_batch_size * training.gradient_accumulation_steps
    steps = None if pairs is None and training.max_steps is None else steps_of(pairs or 0, training)
    tried = max(1, len(recipe.sweep.learning_rate)) * max(1, len(recipe.sweep.beta))
    again = tried > 1 or (steps is not None and pairs is not None and steps * a_step > pairs)
    machine = effective(recipe.machine, again)
    size = size_of(shape, recipe.lora)
    found = measure(shape, recipe.lora, machine, tokens, recipe.evaluation.batch_size)
    reference = 0.0 if machine.precompute_ref_log_probs else found.forward
    step = a_step * 2 * tokens * (found.train + reference)
    bits = 4 if machine.load_in_4bit else 16 if machine.bf16 else 32
    where = f"{machine.device}, {machine.dtype}"
    where += "" if machine.on_gpu else f", {machine.threads} threads"
    guess = "assumed" if known is None else "typical of the data set"
    told = [
        f"{size.parameters:,} parameters, {size.parameters * bits / 8 / 1e9:.2g} GB as {bits}-bit "
        f"weights, of which LoRA trains {size.trainable:,} beside them",
        f"measured on {where}: one layer of width {shape.config['hidden_size']:,} and the output "
        f"over {shape.config['vocab_size']:,} tokens, on 2 texts of {found.length} tokens; "
        f"{shape.config['num_hidden_layers']} layers make {1000 * found.train:.3g} ms a token "
        f"trained, {1000 * found.forward:.3g} ms a token scored",
        f"one step of {training.per_device_train_batch_size} x "
        f"{training.gradient_accumulation_steps} pairs of 2 x {tokens} tokens ({guess}): "
        f"{_time(step)}",
    ]
    if steps is None:
        return [*told, "steps: as many as the data has pairs, which is not known before it is read"]
    evaluations = len(evaluated_at(steps, watch)) + 1
    watched = _watched(recipe, pairs)
    seen = evaluations * watched * 2 * tokens * (found.forward + reference)
    once = (pairs or 0) * 2 * tokens * found.forward if machine.precompute_ref_log_probs else 0.0
    whole = tried * (steps * step + seen) + once
    stops = " at most" if watch.stop_when or training.max_steps is not None else ""
    shared = f" for each of {tried} candidates" if tried > 1 else ""
    of_pairs = "" if pairs is None else f" over {pairs:,} pairs"
    told.append(
        f"{steps:,} steps{stops}{of_pairs}{shared}, {evaluations} evaluations of {watched:,} pairs: "
        f"{_time(whole)}{stops} of training"
    )
    return [*told, _answers(recipe, found, pairs, tried)]


def _watched(recipe: Recipe, pairs: int | None) -> int:
    """Validation pairs scored at an evaluation, where the data are not known: the cap."""
    splits = recipe.splits
    share = splits.validation / (1 - splits.validation - splits.test)
    most = min(splits.max_test, recipe.watch.max_eval_pairs or splits.max_test)
    return most if pairs is None else min(most, round(pairs * share))


def _answers(recipe: Recipe, found: Measured, pairs: int | None, tried: int) -> str:
    """Upper bound of writing answers: every one as long as it may be."""
    asked = recipe.evaluation
    held_out = asked.max_prompts if recipe.curation else 0
    questions = (2 * len(asked.questions) + held_out) * (1 + asked.samples)
    batches = math.ceil(questions / asked.batch_size) * (1 + tried)
    seconds = batches * asked.max_new_tokens * found.answer
    own = recipe.on_policy or recipe.curation
    if own is not None and pairs is not None:
        each = recipe.on_policy.samples if recipe.on_policy else 1
        # The cost of a batch hardly grows with it until the machine is full: those of the recipe.
        batches = math.ceil(pairs * each / own.batch_size)
        seconds += batches * own.max_new_tokens * found.answer
    first = f"answers to {questions:,} questions before and after training"
    more = ", and its own answers to the training prompts" if own is not None else ""
    return f"{first}{more}: {_time(seconds)} at most, beside files of questions"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:,.0f} hours"
