"""python benchmarks/answers.py [--prompts 96] [--new 128] [--batch 32] [--repeat 3]

Own answers to real HH prompts, side by side in one run: one by one with transformers' `generate`,
the same in batches sorted by length, and pairpress. Needs the HH-RLHF files of ../shared/data.

The model is a Llama with random weights and a tokenizer trained on the transcripts, since no
weights can be taken for granted; its size is printed. A random model hardly ever ends an answer, so
one token in so many of the vocabulary ends it, the same for all sides, and answers are of as many
lengths as real ones. The sides take turns; times are medians with their range, ratios are medians
over the turns, also of CPU time, which other work on the machine disturbs less. Every side's
answers are compared with those one by one.
"""

import argparse
import gzip
import json
import os
import random
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
FILES = ("hh-harmless-base-test.jsonl.gz", "hh-helpful-base-test.jsonl.gz")
LONGEST = 512  # tokens of a prompt
VOCABULARY = 4096
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

Answers = list[tuple[int, ...]]


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    options.add_argument("--prompts", type=int, default=96)
    options.add_argument("--new", type=int, default=128, help="longest answer, in tokens")
    options.add_argument("--ends", type=int, default=96, help="one token in so many ends an answer")
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--threads", type=int, default=1)
    asked = options.parse_args()

    import torch

    torch.set_num_threads(asked.threads)
    model, tokenizer = random_llama(asked.ends)
    prompts = real_prompts(tokenizer, asked.prompts)
    sides: dict[str, Callable[[], list[str]]] = {
        "one by one": lambda: by_transformers(model, tokenizer, prompts, asked.new, 1),
        "sorted batches": lambda: in_order_of_length(
            model, tokenizer, prompts, asked.new, asked.batch
        ),
        "pairpress": lambda: by_pairpress(model, tokenizer, prompts, asked.new, asked.batch),
    }
    said, seconds = measured(sides, asked.repeat)
    report(model, tokenizer, prompts, said, seconds, asked)


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
    found = []
    for name in FILES:
        with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
            found += [json.loads(line)["chosen"] for line in lines]
    return found


def real_prompts(tokenizer: Any, count: int) -> list[list[dict[str, str]]]:
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
    model: Any, tokenizer: Any, prompts: list[list[dict[str, str]]], new: int, batch: int
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
    model: Any, tokenizer: Any, prompts: list[list[dict[str, str]]], new: int, batch: int
) -> list[str]:
    order = sorted(range(len(prompts)), key=lambda n: len(rendered(tokenizer, prompts[n])))
    answers = by_transformers(model, tokenizer, [prompts[n] for n in order], new, batch)
    return [answer for _, answer in sorted(zip(order, answers, strict=True))]


def by_pairpress(
    model: Any, tokenizer: Any, prompts: list[list[dict[str, str]]], new: int, batch: int
) -> list[str]:
    from tasks.core.generate import generate

    found = generate(model, tokenizer, prompts, max_new_tokens=new, batch_size=batch, title="ours")
    return [answer.text for answer in found]


def measured(
    sides: dict[str, Callable[[], list[str]]], repeat: int
) -> tuple[dict[str, list[str]], dict[str, list[tuple[float, float]]]]:
    """What every side said, and (seconds, CPU seconds) of its turns."""
    said: dict[str, list[str]] = {}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(repeat):
        for name, answer in sides.items():
            start, busy = time.perf_counter(), time.process_time()
            said[name] = answer()
            seconds[name].append((time.perf_counter() - start, time.process_time() - busy))
    return said, seconds


def report(
    model: Any,
    tokenizer: Any,
    prompts: list[list[dict[str, str]]],
    said: dict[str, list[str]],
    seconds: dict[str, list[tuple[float, float]]],
    asked: argparse.Namespace,
) -> None:
    widths = [len(rendered(tokenizer, prompt)) for prompt in prompts]
    lengths = [len(tokenizer(text)["input_ids"]) for text in said["one by one"]]
    print(
        f"{len(prompts)} HH prompts of {min(widths)} to {max(widths)} tokens (mean "
        f"{statistics.mean(widths):.0f}), answers of {min(lengths)} to {max(lengths)} (mean "
        f"{statistics.mean(lengths):.0f}), {len(set(said['one by one']))} distinct; random Llama "
        f"of {model.num_parameters() / 1e6:.1f} M in fp32 on {model.device.type}, "
        f"{asked.threads} threads, batches of {asked.batch}, {asked.repeat} turns"
    )
    for name, turns in seconds.items():
        times = [wall for wall, _ in turns]
        line = f"{name:16}{statistics.median(times):8.2f} s ({min(times):.2f} to {max(times):.2f})"
        for place, unit in enumerate(("times", "times in CPU")):
            both = zip(seconds["one by one"], turns, strict=True)
            ratios = [one[place] / other[place] for one, other in both]
            line += (
                f"{statistics.median(ratios):7.2f} {unit} ({min(ratios):.2f} to {max(ratios):.2f})"
            )
        same = sum(a == b for a, b in zip(said["one by one"], said[name], strict=True))
        print(f"{line}   same text {same} of {len(prompts)}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    main()
