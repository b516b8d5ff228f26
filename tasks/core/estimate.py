"""How long a recipe would take here, from one decoder layer of its base timed at full width.

in   the base's shape, the recipe, rows and tokens of its data where they are known
out  sentences: the model's size, what was measured, steps, seconds a step, hours

A layer is timed as training runs it, with its LoRA: forward and backward of the policy, forward of
the reference, one token at a time for answers. A step is layers x layer + output layer, times
tokens with their padding, times OVERHEAD. Attention's quadratic share is that of the measured
length. Memory that does not suffice shows in no such figure.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tasks.core.gate import asks_for_last
from tasks.core.known_data import KNOWN, UNKNOWN, Known, Prompts, prompts_of, sides
from tasks.core.machine import Effective, effective
from tasks.core.miniatures import Shape
from tasks.core.questions import questions_of
from tasks.core.settings import Lora, Recipe
from tasks.core.sweep import candidates
from tasks.core.trainer import evaluated_at, lora_config, steps_an_epoch, steps_of

MOST_TOKENS = 256  # of one text, as measured; longer ones count as many times its tokens
HEAD_TOKENS = 128  # logits of a large vocabulary fill memory sooner than anything else
HEAD_SHARE = 4  # a quarter of the vocabulary is timed, which is still far more than a cache holds
REPEATS = 3  # the fastest counts: whatever else runs on the machine only adds
# A whole step of TRL against its layers and output: entropy, accuracies, copies, the optimizer.
# 1.28 to 1.31 in CPU time, for a random Llama of 26 M parameters on pairs of HH, 2 x 8 texts.
OVERHEAD = 1.3
ASSUMED_TOKENS = 128  # with padding, where the data set is not known
# A batch is padded to its longest text. Of n pairs drawn at random that is PADDING[0] + PADDING[1]
# * log2(n) times the mean, within a tenth for n = 4, 8 and 16 on HH and UltraFeedback alike.
PADDING = (1.1, 0.45)


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
    config = json.dumps(shape.config, sort_keys=True)
    return _measured(config, lora, machine, min(length, MOST_TOKENS), answers)


@cache
def _measured(config: str, lora: Lora, machine: Effective, length: int, answers: int) -> Measured:
    """Once for all recipes of one base that are rehearsed together."""
    full = json.loads(config)
    train, forward, answer = (
        full["num_hidden_layers"] * layer + head
        for layer, head in zip(
            _layer(full, lora, machine, length, answers), _head(full, machine, answers), strict=True
        )
    )
    return Measured(OVERHEAD * train, OVERHEAD * forward, answer, length)


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


def estimate(shape: Shape, recipe: Recipe, known: Known | None = None) -> list[str]:
    """What a person reads: each line a sentence with its numbers. `known`: of its data; else the
    table's."""
    known = known or KNOWN.get((recipe.data.path, recipe.data.data_dir), UNKNOWN)
    split = prompts_of(recipe, known.rows)
    pairs = None if split.train is None else split.train * sides(recipe)
    watched = split.validation * sides(recipe)
    watched = min(watched, recipe.watch.max_eval_pairs or watched)
    training, batch = recipe.training, recipe.batch
    a_step = batch.per_device_train_batch_size * batch.gradient_accumulation_steps
    endless = pairs is None and training.max_steps is None
    steps = None if endless else steps_of(pairs or 0, training, batch)
    tried = len(candidates(recipe))
    again = tried > 1 or (
        steps is not None and pairs is not None and steps > steps_an_epoch(pairs, batch)
    )
    machine = effective(recipe.machine, again)
    tokens = padded(known, recipe)
    size = size_of(shape, recipe.lora)
    found = measure(shape, recipe.lora, machine, tokens, recipe.measure.batch_size)
    beside = 0.0 if machine.precompute_ref_log_probs else found.forward  # the reference's own
    step = a_step * 2 * tokens * (found.train + beside)
    scored = 2 * tokens * (found.forward + beside)  # a validation pair
    bits = 4 if machine.load_in_4bit else 16 if machine.bf16 else 32
    where = f"{machine.device}, {machine.dtype}"
    where += "" if machine.on_gpu else f", {machine.threads} threads"
    why = "assumed" if known.tokens is None else f"{known.tokens} {known.source}, padded"
    told = [
        f"{size.parameters:,} parameters, {size.parameters * bits / 8 / 1e9:.2g} GB as {bits}-bit "
        f"weights; LoRA trains {size.trainable:,} beside them",
        f"measured on {where}: one layer of width {shape.config['hidden_size']:,} and the output "
        f"over {shape.config['vocab_size']:,} tokens, on 2 texts of {found.length} tokens",
        f"{shape.config['num_hidden_layers']} such layers: {1000 * found.train:.3g} ms a token "
        f"trained, {1000 * found.forward:.3g} ms a token scored",
        f"one step of {batch.per_device_train_batch_size} x "
        f"{batch.gradient_accumulation_steps} pairs of 2 x {tokens} tokens ({why}): "
        f"{_time(step)}",
    ]
    answers = _answers(recipe, found, split, tried)
    if steps is None:
        left = "steps: as many as the data has pairs, which is not known before it is read"
        return [*told, left, *answers]
    evaluations = len(evaluated_at(steps, recipe.watch)) + 1
    own = recipe.curation or recipe.on_policy  # whose answers may make no pair
    most = "at most " if recipe.watch.stop_when or own else ""
    each = f" for each of {tried} candidates" if tried > 1 else ""
    if pairs is None:
        more = f"and {_time(100 * scored)} for every 100 validation pairs at {evaluations} of them"
        told.append(f"{most}{steps:,} steps{each}: {_time(tried * steps * step)}, {more}")
    else:
        once = (pairs + watched) * 2 * (known.tokens or tokens) * found.forward
        once *= machine.precompute_ref_log_probs
        whole = tried * (steps * step + evaluations * watched * scored) + once
        guessed = known.rows is None and not own
        told.append(
            f"{most}{steps:,} steps over {pairs:,} pairs{each}, with {evaluations} evaluations of "
            f"{watched:,} pairs{', if each prompt has one pair' * guessed}: {_time(whole)}"
        )
    return [*told, *answers]


def padded(known: Known, recipe: Recipe) -> int:
    """Tokens that are computed for a text of a batch, on average."""
    alike = recipe.batch.train_sampling_strategy == "group_by_length"
    pairs = 1 if alike else recipe.batch.per_device_train_batch_size
    if known.tokens is None:
        tokens = ASSUMED_TOKENS
    elif known.longest is None:
        tokens = round(known.tokens * (PADDING[0] + PADDING[1] * math.log2(pairs)))
    else:
        tokens = known.tokens if alike else known.longest
    return min(tokens, recipe.reading.max_length)


def _answers(recipe: Recipe, found: Measured, split: Prompts, tried: int) -> list[str]:
    """Upper bounds of writing answers: every one as long as it may be."""
    asked = recipe.measure
    held_out = 2 * min(asked.max_prompts, split.test)  # with a system message and without
    questions = len(questions_of(recipe.evaluation, [], 0, recipe.reformat.system_prompt))
    questions += held_out
    batches = math.ceil(questions * (1 + asked.samples) / asked.batch_size)
    models = 1 + tried + asks_for_last(recipe.gate)
    seconds = models * batches * asked.max_new_tokens * found.answer
    told = [f"answers of {models} models to at most {questions:,} questions: {_time(seconds)}"]
    own = recipe.on_policy.sampling if recipe.on_policy else recipe.curation
    if own is not None and split.all is not None:
        each = recipe.on_policy.sampling.samples if recipe.on_policy else sides(recipe)
        # A batch of answers takes about as long whatever its size, until the machine is full.
        seconds = math.ceil(split.all * each / own.batch_size) * own.max_new_tokens * found.answer
        told.append(
            f"at most {split.all * each:,} own answers to the prompts of every split: "
            f"{_time(seconds)}"
        )
    return [f"{line} if all of them are as long as they may be" for line in told]


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" if seconds < 100 * 3600 else f"{seconds / 86400:.0f} days"
