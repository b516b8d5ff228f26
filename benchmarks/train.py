"""python benchmarks/train.py [--model FOLDER] [--only tiny|30M] [--epochs 2] [--repeat 3]

DPO with LoRA on real HH pairs, in turn on the same data, order and seed: TRL's own script with the
LoRA command of its documentation, TRL tuned (no checkpointing, batches of like length, reference
computed once), and pairpress with its defaults and tuned the same way. Needs the HH-RLHF files of
../shared/data.

Without --model once for the tiny chat model of the demo and once for a Llama of about 30 M
parameters, both of hardly trained weights: what a step costs does not depend on them. Each side
runs in a process of its own, and all start from the same LoRA weights. `steps` is the time from the
beginning to the end of every training step; `whole` is all of it from loading the model to the
saved adapter: reference, evaluations at the start and at the end, checkpoints. Rates are medians
with their range; ratios, also of CPU time, which other work on the machine disturbs less, are
medians over the turns. Sides that draw their batches the same way are compared loss by loss;
16 pairs make a step everywhere, 2 at a time in TRL's command and 8 elsewhere.

It is long because every side is written out as the people who use it would write it.
"""

import argparse
import contextlib
import gzip
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tasks.core.settings import Batch, Lora, Loss, Machine, Training, Watch

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
FILES = ("hh-harmless-base-test.jsonl.gz", "hh-helpful-base-test.jsonl.gz")
MARKER = re.compile(r"\n\n(Human|Assistant): ?")
ROLES = {"Human": "user", "Assistant": "assistant"}
LONGEST = 512  # tokens of prompt and answer; longer pairs are left out, so that no side truncates
VALIDATION = 16  # pairs
# What TRL's documentation trains with: trl/scripts/dpo.py, "LoRA"; the modules are peft's choice.
RANK, ALPHA, MODULES = 32, 16, ("q_proj", "v_proj")
RATE = 1e-3  # not its 5e-6, with which the few steps here would leave every loss at ln 2
SEED, BETA = 42, 0.1  # TRL's defaults
BATCH, ACCUMULATION = 8, 2  # the documentation's is 2 and 8
YARDSTICK = "TRL, tuned"
COMPARED = (("TRL's script", "pairpress"), (YARDSTICK, "pairpress, tuned"))

Figures = dict[str, Any]


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    options.add_argument("--model", type=Path, help="folder of a Llama with a chat template")
    options.add_argument("--pairs", type=int, help="default: 256 for the tiny model, 32 for others")
    options.add_argument("--epochs", type=int, default=2)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--only", choices=("tiny", "30M"), help="one of the two models")
    options.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.child:
        print(json.dumps(measure(asked.child[0], Path(asked.child[1]), asked.epochs)))
        return
    from localhub.client_env import client_environment, running

    with tempfile.TemporaryDirectory() as name, running(Path(name) / "hub") as hub:
        home = Path(name)
        os.environ |= client_environment(hub.url, hub.token, home / "hf")
        os.environ |= {"OMP_NUM_THREADS": str(asked.threads), "PYTHONPATH": str(ROOT)}
        for title, folder in models(asked, home):
            put_on_hub(title, folder, home)
            compare(title, folder, home, asked)


def models(asked: argparse.Namespace, home: Path) -> list[tuple[str, Path]]:
    if asked.model:
        return [(asked.model.name, asked.model)]
    made = []
    if asked.only != "30M":
        from demo.tiny_chat import build

        build(home / "tiny", steps=20)
        made.append(("tiny", home / "tiny"))
    if asked.only != "tiny":
        from answers import random_llama

        model, tokenizer = random_llama(ends=96)
        model.generation_config.eos_token_id = tokenizer.eos_token_id
        model.cpu().save_pretrained(home / "30M")
        tokenizer.save_pretrained(home / "30M")
        made.append(("30M", home / "30M"))
    return made


def put_on_hub(title: str, folder: Path, home: Path) -> None:
    """pairpress loads models from a Hub at a commit: a localhub, read before the clock starts."""
    from huggingface_hub import HfApi

    api = HfApi()
    api.create_repo(f"pairpress/{title}", exist_ok=True)
    api.upload_folder(repo_id=f"pairpress/{title}", folder_path=folder)
    commit = api.model_info(f"pairpress/{title}").sha
    (home / "run.json").write_text(
        json.dumps({"repo": f"pairpress/{title}", "revision": commit, "folder": str(folder)})
    )


def write_pairs(folder: Path, home: Path, count: int) -> list[int]:
    """train.jsonl and test.jsonl of `home`/pairs; returns the tokens of every training pair."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    pairs = real_pairs()
    random.Random(0).shuffle(pairs)
    kept, widths = [], []
    for pair in pairs:
        tokens = [
            len(tokenizer.apply_chat_template(pair["prompt"] + pair[side])["input_ids"])
            for side in ("chosen", "rejected")
        ]
        if max(tokens) <= LONGEST:
            kept.append(pair)
            widths.append(sum(tokens))
        if len(kept) == count + VALIDATION:
            break
    (home / "pairs").mkdir(exist_ok=True)
    for name, rows in (("train", kept[:count]), ("test", kept[count:])):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (home / "pairs" / f"{name}.jsonl").write_text(lines)
    return widths[:count]


def real_pairs() -> list[dict[str, Any]]:
    """The transcripts of both files as conversations; those whose sides share no prompt go."""
    found = []
    for name in FILES:
        with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
            for line in lines:
                chosen, rejected = (turns(text) for text in json.loads(line).values())
                sound = chosen[:-1] == rejected[:-1] and chosen[-1] != rejected[-1]
                if sound and len(chosen) > 1 and chosen[-2]["role"] == "user":
                    sides = {"chosen": chosen[-1:], "rejected": rejected[-1:]}
                    if all(side[0]["content"] for side in sides.values()):
                        found.append({"prompt": chosen[:-1], **sides})
    return found


def turns(transcript: str) -> list[dict[str, str]]:
    parts = MARKER.split(transcript)[1:]
    return [
        {"role": ROLES[who], "content": text.strip()}
        for who, text in zip(parts[::2], parts[1::2], strict=True)
    ]


def compare(title: str, folder: Path, home: Path, asked: argparse.Namespace) -> None:
    pairs = asked.pairs or (256 if title == "tiny" else 32)
    widths = write_pairs(folder, home, pairs)
    runs: dict[str, list[Figures]] = {side: [] for side in SIDES}
    for _ in range(asked.repeat):
        for side, got in runs.items():
            got.append(child(side, home, asked))
    first = runs["TRL's script"][0]
    print(
        f"\n{title}: {first['parameters'] / 1e6:.2f} M parameters, {first['trainable']:,} trained; "
        f"{pairs} HH pairs of {min(widths)} to {max(widths)} tokens (both sides, mean "
        f"{statistics.mean(widths):.0f}), {asked.epochs} epochs, {first['steps']} steps; "
        f"{first['device']}, {asked.threads} threads, {asked.repeat} turns"
    )
    for side, got in runs.items():
        line = f"{side:18}"
        for what in ("steps", "whole"):
            rates = [run["pairs"] / run[f"{what}_s"] for run in got]
            line += f"{what} {statistics.median(rates):7.2f} pairs/s ({spread(rates)})"
            for clock, unit in (("s", "x"), ("cpu", "x in CPU")):
                key = f"{what}_{clock}"
                both = zip(runs[YARDSTICK], got, strict=True)
                ratios = [one[key] / run[key] for one, run in both]
                line += f" {statistics.median(ratios):.2f} {unit} ({spread(ratios)})"
            line += "; "
        print(f"{line}{max(run['peak_mb'] for run in got):,.0f} MB", flush=True)
    for theirs, ours in COMPARED:
        a, b = (runs[side][0]["losses"] for side in (theirs, ours))
        assert len(a) == len(b), (len(a), len(b))
        gap = max(abs(one - other) for one, other in zip(a, b, strict=True))
        print(f"largest difference of a loss, {theirs} to {ours}: {gap:.1e} over {len(a)}")


def spread(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def child(side: str, home: Path, asked: argparse.Namespace) -> Figures:
    log = home / "log.txt"
    with log.open("w") as file:
        done = subprocess.run(
            [
                *(sys.executable, __file__, "--epochs", str(asked.epochs)),
                *("--child", side, str(home)),
            ],
            stdout=subprocess.PIPE,
            stderr=file,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{side} ended with {done.returncode}:\n{log.read_text()[-4000:]}")
    found: Figures = json.loads(done.stdout)
    return found


def measure(side: str, home: Path, epochs: int) -> Figures:
    """One side in this process; imports and reading from the Hub are not timed."""
    import datasets  # noqa: F401
    import torch
    import transformers.trainer
    import trl  # noqa: F401
    from peft import LoraConfig  # noqa: F401
    from transformers import TrainerCallback
    from trl import DPOConfig, DPOTrainer  # noqa: F401

    from tasks.core.models import ModelRef, snapshot

    asked = json.loads((home / "run.json").read_text())
    snapshot(ModelRef(repo=asked["repo"], revision=asked["revision"]))
    found: Figures = {"steps_s": 0.0, "steps_cpu": 0.0, "losses": [], "steps": 0}

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            found["parameters"] = more["model"].num_parameters()
            found["trainable"] = more["model"].num_parameters(only_trainable=True)

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.start, self.busy = time.perf_counter(), time.process_time()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            found["steps_s"] += time.perf_counter() - self.start
            found["steps_cpu"] += time.process_time() - self.busy
            found["steps"] += 1

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            found["losses"] += [logs[name] for name in ("loss", "eval_loss") if name in logs]

    transformers.trainer.DEFAULT_CALLBACKS.append(Clock)
    lines = (home / "pairs" / "train.jsonl").read_text().splitlines()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        start, busy = time.perf_counter(), time.process_time()
        SIDES[side](home, Path(folder), epochs)
        found["whole_s"] = time.perf_counter() - start
        found["whole_cpu"] = time.process_time() - busy
        assert list(Path(folder).rglob("adapter_model.safetensors")), "no adapter was saved"
    on_gpu = torch.cuda.is_available()
    peak = torch.cuda.max_memory_allocated() / 1e6 if on_gpu else peak_mb()
    device = torch.cuda.get_device_name() if on_gpu else "CPU"
    return found | {"pairs": len(lines) * epochs, "peak_mb": peak, "device": device}


def peak_mb() -> float:
    """Of this process alone; getrusage also knows what its parent held when it began."""
    kilobytes = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert kilobytes
    return int(kilobytes[1]) / 1e3


def by_script(home: Path, folder: Path, epochs: int) -> None:
    """trl/scripts/dpo.py, "LoRA", with this data and as many steps as it has."""
    import torch
    from trl.scripts.dpo import main, make_parser

    on_gpu = torch.cuda.is_available()
    steps = steps_of(home, epochs)
    parsed = make_parser().parse_args_and_config(
        [
            *("--dataset_name", str(home / "pairs")),
            *("--model_name_or_path", json.loads((home / "run.json").read_text())["folder"]),
            *("--learning_rate", str(RATE)),
            *("--num_train_epochs", str(epochs)),
            *("--per_device_train_batch_size", "2"),
            *("--gradient_accumulation_steps", "8"),
            *("--eval_strategy", "steps", "--eval_steps", str(steps), "--eval_on_start", "true"),
            *("--output_dir", str(folder)),
            "--no_remove_unused_columns",
            *("--use_peft", "--lora_r", str(RANK), "--lora_alpha", str(ALPHA)),
            # What this machine and the comparison need; nothing of it changes the training.
            *("--logging_steps", "1", "--bf16", str(on_gpu), "--use_cpu", str(not on_gpu)),
        ]
    )
    main(*parsed)


def by_tuned_trl(home: Path, folder: Path, epochs: int) -> None:
    """The same training, set up by somebody who knows TRL."""
    import torch
    from datasets import load_dataset
    from peft import LoraConfig, TaskType
    from trl import DPOConfig, DPOTrainer

    from tasks.core.trainer import group_by_length

    on_gpu = torch.cuda.is_available()
    model = json.loads((home / "run.json").read_text())["folder"]
    data = load_dataset(str(home / "pairs"))
    steps = steps_of(home, epochs)
    config = DPOConfig(
        output_dir=str(folder),
        learning_rate=RATE,
        num_train_epochs=epochs,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=BATCH,
        gradient_accumulation_steps=ACCUMULATION,
        activation_checkpointing=False,
        precompute_ref_log_probs=True,
        eval_strategy="steps",
        eval_steps=steps,
        eval_on_start=True,
        logging_steps=1,
        bf16=on_gpu,
        use_cpu=not on_gpu,
    )
    trainer = DPOTrainer(
        model=model,
        args=config,
        train_dataset=data["train"],
        eval_dataset=data["test"],
        peft_config=LoraConfig(
            r=RANK,
            lora_alpha=ALPHA,
            target_modules=list(MODULES),
            task_type=TaskType.CAUSAL_LM,
        ),
    )
    group_by_length(trainer)  # transformers' own draws from the global state: another order
    trainer.train()
    trainer.save_model(str(folder))


def steps_of(home: Path, epochs: int) -> int:
    pairs = len((home / "pairs" / "train.jsonl").read_text().splitlines())
    return epochs * -(-pairs // (BATCH * ACCUMULATION))


def by_pairpress(home: Path, folder: Path, epochs: int) -> None:
    trained(home, folder, epochs, Machine(), "random")


def by_tuned_pairpress(home: Path, folder: Path, epochs: int) -> None:
    tuned = Machine(gradient_checkpointing=False, precompute_ref_log_probs=True)
    trained(home, folder, epochs, tuned, "group_by_length")


def trained(home: Path, folder: Path, epochs: int, machine: Machine, strategy: Any) -> None:
    """The reference and train stages of a recipe, without Prefect."""
    from tasks.core.machine import effective
    from tasks.core.models import ModelRef
    from tasks.core.reference import reference_logps
    from tasks.core.tracking import Trackers
    from tasks.core.train import Recipe, train_adapter

    model = json.loads((home / "run.json").read_text())
    base = ModelRef(repo=model["repo"], revision=model["revision"])
    train, validation = (
        [json.loads(line) for line in (home / "pairs" / name).read_text().splitlines()]
        for name in ("train.jsonl", "test.jsonl")
    )
    recipe = Recipe(
        training=Training(
            learning_rate=RATE,
            lr_scheduler_type="linear",  # as TRL's script, which also warms nothing up
            warmup_steps=0,
            num_train_epochs=epochs,
            seed=SEED,
        ),
        batch=Batch(
            per_device_train_batch_size=BATCH,
            gradient_accumulation_steps=ACCUMULATION,
            train_sampling_strategy=strategy,
        ),
        loss=Loss(beta=BETA),
        lora=Lora(r=RANK, lora_alpha=ALPHA, target_modules=MODULES),
        watch=Watch(eval_steps=steps_of(home, epochs), metric_for_best_model="last"),
        machine=effective(machine, each_pair_again=epochs > 1),
        max_length=LONGEST,
    )
    reference = None
    if recipe.machine.precompute_ref_log_probs:
        reference = folder / "reference"
        reference.mkdir()
        reference_logps(base, train, validation, recipe.machine, LONGEST, reference)
    (folder / "stage").mkdir()
    train_adapter(
        base,
        train,
        validation,
        recipe,
        folder / "stage",
        work=folder / "work",
        reference=reference,
        trackers=Trackers(folder / "tensorboard", "benchmark"),
    )


SIDES = {
    "TRL's script": by_script,
    YARDSTICK: by_tuned_trl,
    "pairpress": by_pairpress,
    "pairpress, tuned": by_tuned_pairpress,
}


if __name__ == "__main__":
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"}
    main()
