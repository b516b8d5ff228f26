"""python benchmarks/answers.py [--prompts 96] [--batch 64] [--repeat 5] [--system] [--json FILE]

Own answers to real HH prompts, side by side in one run: one by one with transformers' `generate`,
the same in batches sorted by length, and pairpress in batches of that size and of a recipe's
default, which rows leave and join; on a GPU also transformers' continuous batching and, where it
is installed, vLLM. Needs the HH-RLHF files of ../shared/data. With --system a second time with one
system prompt before each of them.

The model is a Llama with random weights and a tokenizer trained on the transcripts, since no
weights can be taken for granted; its size is printed. A random model hardly ever ends an answer, so
one token in so many of the vocabulary ends it, the same for all sides, and answers are of as many
lengths as real ones. The sides take turns; times are medians with their range, ratios are medians
over the turns, also of CPU time, which other work on the machine disturbs less. Every side's
answers are compared with those one by one. On a CPU one more turn of pairpress is profiled.

It is long because every way of answering is written out as its users would.
"""

import argparse
import contextlib
import json
import os
import random
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hh import hh_lines
from page import Goal, Section, ratios, told

from tasks.core.settings import Measure

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 512  # tokens of a prompt
VOCABULARY = 4096
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

LIMIT = 6  # times one by one, about
USUAL = Measure().batch_size
SORTED, IN_USUAL = "sorted batches", f"pairpress, batches of {USUAL}"
ONCE = (SORTED, IN_USUAL)  # without a system prompt only
SYSTEM = (
    "You are an assistant who answers questions of all kinds in plain and friendly words. Be as "
    "helpful as you can, and be honest: where you do not know something, or cannot know it, say "
    "so. Ask back where a question can be read in two ways. Answer in the language of the "
    "question, in a few sentences, and give a list or an example only where it helps. Do not help "
    "with what would harm somebody, and say kindly why you do not. Never make up sources, numbers "
    "or names of people, and do not repeat the question before you answer it."
)
COLUMNS = ["", "seconds", "times as fast", "in CPU time", "same text"]

Prompts = list[list[dict[str, str]]]
Side = Callable[[Prompts], list[str]]


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    options.add_argument("--prompts", type=int, default=96)
    options.add_argument("--new", type=int, default=128, help="longest answer, in tokens")
    options.add_argument("--ends", type=int, default=96, help="one token in so many ends an answer")
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--system", action="store_true", help="also with a system prompt")
    options.add_argument("--json", type=Path, help="where a section of the page is written")
    asked = options.parse_args()

    import torch

    torch.set_num_threads(asked.threads)
    model, tokenizer = random_llama(asked.ends)
    prompts = real_prompts(tokenizer, asked.prompts)
    tables = {"": prompts}
    if asked.system:
        first = {"role": "system", "content": SYSTEM}
        tables["with a system prompt: "] = [[first, *prompt] for prompt in prompts]
    found: list[Table] = []
    with contextlib.ExitStack() as opened:
        sides = all_sides(model, tokenizer, asked, opened)
        for name, those in tables.items():
            compared = {side: ask for side, ask in sides.items() if not name or side not in ONCE}
            said, seconds = measured(compared, those, asked.repeat)
            goes = where(sides["pairpress"], those) if model.device.type == "cpu" else ""
            text = described(model, tokenizer, those, said["one by one"], asked)
            found.append(Table(name, text, said, seconds, goes))
            found[-1].show()
    section(found, asked.repeat, model.device.type).write(asked.json)


def all_sides(
    model: Any, tokenizer: Any, asked: argparse.Namespace, opened: contextlib.ExitStack
) -> dict[str, Side]:
    """What answers prompts; a server is up until `opened` closes."""
    from gpu_answers import by_continuous_batching, by_vllm, vllm_serving

    new, batch = asked.new, asked.batch
    sides: dict[str, Side] = {
        "one by one": lambda prompts: by_transformers(model, tokenizer, prompts, new, 1),
        SORTED: lambda prompts: in_order_of_length(model, tokenizer, prompts, new, batch),
        "pairpress": lambda prompts: by_pairpress(model, tokenizer, prompts, new, batch),
    }
    if batch != USUAL:
        sides[IN_USUAL] = lambda prompts: by_pairpress(model, tokenizer, prompts, new, USUAL)
    if model.device.type == "cpu":
        print("no GPU here: transformers' continuous batching and vLLM are left out")
        return sides
    sides["continuous batching"] = lambda prompts: by_continuous_batching(
        model, tokenizer, prompts, new
    )
    if find_spec("vllm") is None:
        print("vLLM is not installed: left out")
        return sides
    url = opened.enter_context(vllm_serving(model, tokenizer))
    sides["vLLM"] = lambda prompts: by_vllm(url, prompts, new, batch)
    return sides


def random_llama(ends: int) -> tuple[Any, Any]:
    """A model of about 30 million parameters, on a GPU if there is one, and its tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>", "<pad>"]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pieces.train_from_iterator(transcripts(), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=pieces, eos_token="<|im_end|>", pad_token="<pad>"
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=4096,
        initializer_range=0.05,  # with 0.02 greedy answers repeat one token
    )
    model = LlamaForCausalLM(config).eval()
    ordinary = range(len(special), VOCABULARY)
    stops = random.Random(0).sample(ordinary, VOCABULARY // ends)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, *stops]
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def transcripts() -> list[str]:
    return [json.loads(line)["chosen"] for line in hh_lines()]


def real_prompts(tokenizer: Any, count: int) -> Prompts:
    """Some of the distinct prompts, in an order by chance, none longer than LONGEST."""
    roles = {"Human": "user", "Assistant": "assistant"}
    found: dict[str, list[dict[str, str]]] = {}
    for text in transcripts():
        parts = re.split(r"\n\n(Human|Assistant): ?", text)[1:-2]
        turns = [
            {"role": roles[who], "content": said}
            for who, said in zip(parts[::2], parts[1::2], strict=True)
        ]
        if turns and turns[-1]["role"] == "user":
            found[json.dumps(turns)] = turns
    order = random.Random(0).sample(sorted(found), len(found))
    short = (found[key] for key in order if len(rendered(tokenizer, found[key])) <= LONGEST)
    return [prompt for prompt, _ in zip(short, range(count), strict=False)]


def rendered(tokenizer: Any, prompt: list[dict[str, str]]) -> list[int]:
    ids: list[int] = tokenizer.apply_chat_template(prompt, add_generation_prompt=True)["input_ids"]
    return ids


def by_transformers(
    model: Any, tokenizer: Any, prompts: Prompts, new: int, batch: int
) -> list[str]:
    import torch

    stops = set(model.generation_config.eos_token_id)
    answers = []
    for start in range(0, len(prompts), batch):
        ids = [rendered(tokenizer, prompt) for prompt in prompts[start : start + batch]]
        inputs = tokenizer.pad({"input_ids": ids}, padding_side="left", return_tensors="pt")
        with torch.inference_mode():
            output = model.generate(
                **inputs.to(model.device),
                max_new_tokens=new,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
        for row in output[:, inputs["input_ids"].shape[1] :].tolist():
            end = next((place for place, token in enumerate(row) if token in stops), None)
            answers.append(tokenizer.decode(row[:end], skip_special_tokens=True).strip())
    return answers


def in_order_of_length(
    model: Any, tokenizer: Any, prompts: Prompts, new: int, batch: int
) -> list[str]:
    order = sorted(range(len(prompts)), key=lambda n: len(rendered(tokenizer, prompts[n])))
    answers = by_transformers(model, tokenizer, [prompts[n] for n in order], new, batch)
    return [answer for _, answer in sorted(zip(order, answers, strict=True))]


def by_pairpress(model: Any, tokenizer: Any, prompts: Prompts, new: int, batch: int) -> list[str]:
    from tasks.core.generate import generate

    found = generate(model, tokenizer, prompts, max_new_tokens=new, batch_size=batch, title="ours")
    return [answer.text for answer in found]


def measured(
    sides: dict[str, Side], prompts: Prompts, repeat: int
) -> tuple[dict[str, list[str]], dict[str, list[tuple[float, float]]]]:
    """What every side said, and (seconds, CPU seconds) of its turns."""
    said: dict[str, list[str]] = {}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(repeat):
        for name, answer in sides.items():
            start, busy = time.perf_counter(), time.process_time()
            said[name] = answer(prompts)
            seconds[name].append((time.perf_counter() - start, time.process_time() - busy))
    return said, seconds


def where(side: Side, prompts: Prompts) -> str:
    """What one more turn spends its CPU time on, as torch's profiler sees it."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as seen:
        side(prompts)
    spent = {one.key: one.self_cpu_time_total for one in seen.key_averages()}
    whole = sum(spent.values())
    products = spent["aten::mm"] / whole
    attention = sum(took for name, took in spent.items() if "scaled_dot" in name) / whole
    copies = spent["aten::copy_"] / whole
    return (
        f"of a turn's time in torch {products:.0%} are products with weights, {attention:.0%} "
        f"attention, {copies:.0%} copies, {1 - products - attention - copies:.0%} all else"
    )


def described(
    model: Any, tokenizer: Any, prompts: Prompts, answers: list[str], asked: argparse.Namespace
) -> str:
    widths = [len(rendered(tokenizer, prompt)) for prompt in prompts]
    lengths = [len(tokenizer(text)["input_ids"]) for text in answers]
    return (
        f"{len(prompts)} HH prompts of {min(widths)} to {max(widths)} tokens (mean "
        f"{statistics.mean(widths):.0f}), answers of {min(lengths)} to {max(lengths)} (mean "
        f"{statistics.mean(lengths):.0f}), {len(set(answers))} distinct; random Llama of "
        f"{model.num_parameters() / 1e6:.1f} M in fp32 on {model.device.type}, "
        f"{asked.threads} threads, batches of {asked.batch}, {asked.repeat} turns"
    )


@dataclass(frozen=True)
class Table:
    name: str  # before each of its rows; empty for the first
    text: str
    said: dict[str, list[str]]
    seconds: dict[str, list[tuple[float, float]]]
    goes: str

    def faster(self, side: str, place: int) -> list[float]:
        """How many times one by one: place 0 by the clock, 1 in CPU time."""
        one, ours = ([turn[place] for turn in self.seconds[n]] for n in ("one by one", side))
        return ratios(one, ours)

    def rows(self) -> list[list[str]]:
        found = []
        for side, turns in self.seconds.items():
            same = sum(
                a == b for a, b in zip(self.said["one by one"], self.said[side], strict=True)
            )
            found.append(
                [
                    f"{self.name}{side}",
                    told([wall for wall, _ in turns], 1),
                    *(told(self.faster(side, place)) for place in (0, 1)),
                    f"{same} of {len(self.said[side])}",
                ]
            )
        return found

    def show(self) -> None:
        print(self.text)
        for name, *figures in [COLUMNS, *self.rows()]:
            print(f"{name:40}" + "".join(f"{figure:26}" for figure in figures))
        print(self.goes, flush=True)


def section(tables: list[Table], repeat: int, device: str) -> Section:
    place, unit = (1, "CPU time") if device == "cpu" else (0, "time")
    goals = []
    for table in tables:
        faster = table.faster("pairpress", place)
        goals.append(
            Goal(
                f"{table.name}towards 6 times one by one",
                f"{told(faster)} in {unit}, {repeat} turns",
                statistics.median(faster) >= LIMIT,
                table.goes,
            )
        )
    return Section(
        title="Own answers",
        text=". ".join(f"{table.name}{table.text}" for table in tables) + ".",
        columns=COLUMNS,
        rows=[row for table in tables for row in table.rows()],
        goals=goals,
        ratios={
            f"own answers, {table.name}against one by one": table.faster("pairpress", place)
            for table in tables
        },
        after="" if device != "cpu" else "Without a GPU continuous batching and vLLM are left out.",
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    main()
