"""python benchmarks/train.py [--model FOLDER] [--only tiny|30M|0.5B] [--repeat 5] [--json FILE]

DPO with LoRA on real HH pairs, in turn on the same data and from the same LoRA weights: TRL with
DPOConfig's defaults, TRL tuned (no checkpointing, batches of like length, reference computed once),
and pairpress with its defaults, tuned the same way, and with its frozen weights in bf16. Needs the
HH-RLHF files of ../shared/data. TRL's default of bf16 is off: on a CPU it is slower, and losses
could not be compared. pairpress has the heap that `pairpress run` begins with (tasks/core/heap.py);
for the memory, sides of both also run once with the other's.

Without --model once for the tiny chat model of the demo and once for a Llama of about 30 M
parameters, both of hardly trained weights: what a step costs does not depend on them. Where there
is a GPU also for a Qwen2 of Qwen2.5-0.5B's shape and vocabulary with random weights: all sides in
bf16 as its user would ask for it, and pairpress with its shared prompt, no default there.

Each side runs in a process of its own. `steps` is the time from the beginning to the end of every
training step, and that of the reference's log-probabilities where they are computed before; `whole`
is all of it from loading the model to the saved adapter: evaluations at the start and at the end,
checkpoints. Rates are medians with their range; ratios, also of CPU time, which other work on the
machine disturbs less, are medians over the turns. Sides that draw their batches the same way are
compared loss by loss.

It is long because every side is written out as the people who use it would write it.
"""

import argparse
import contextlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hh import hh_lines
from page import Goal, Section, ratios, told

from tasks.core import heap
from tasks.core.settings import Batch, Lora, Loss, Machine, Training, Watch

ROOT = Path(__file__).resolve().parents[1]
MARKER = re.compile(r"\n\n(Human|Assistant): ?")
ROLES = {"Human": "user", "Assistant": "assistant"}
LONGEST = 512  # tokens of prompt and answer; longer pairs are left out, so that no side truncates
VALIDATION = 4  # pairs
RANK, ALPHA = 8, 16  # on every linear layer
RATE = 1e-3  # not its 5e-6, with which the few steps here would leave every loss at ln 2
SEED, BETA = 42, 0.1  # TRL's defaults
BATCH = 8  # TRL's default
TITLES = {"tiny": "Training of the tiny model", "0.5B": "Training on a GPU"}
PAIRS = {"tiny": 32, "0.5B": 256}  # of others 16
DEFAULTS, TUNED, BF16 = "TRL's defaults", "TRL, tuned", "pairpress, bf16 base"
COMPARED = ((DEFAULTS, "pairpress"), (TUNED, "pairpress, tuned"))

Figures = dict[str, Any]


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    options.add_argument("--model", type=Path, help="folder of a Llama with a chat template")
    options.add_argument("--pairs", type=int, help=f"default: {PAIRS}, 16 for others")
    options.add_argument("--epochs", type=int, default=3, help="3, as DPOConfig has it")
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--json", type=Path)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--only", choices=("tiny", "30M", "0.5B"), help="one of the models")
    options.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options.add_argument("--flops", action="store_true", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.child:
        side, home = asked.child[0], Path(asked.child[1])
        print(json.dumps(measure(side, home, asked.epochs, asked.flops)))
        return
    from localhub.client_env import client_environment, running

    with tempfile.TemporaryDirectory() as name, running(Path(name) / "hub") as hub:
        home = Path(name)
        os.environ |= client_environment(hub.url, hub.token, home / "hf")
        os.environ |= {"OMP_NUM_THREADS": str(asked.threads), "PYTHONPATH": str(ROOT)}
        parts = []
        for title, folder in models(asked, home):
            put_on_hub(title, folder, home)
            parts.append(compare(title, folder, home, asked))
    Section(
        title=TITLES.get(asked.only, "Training"),
        text="\n\n".join(part.text for part in parts),
        columns=parts[0].columns,
        rows=[row for part in parts for row in part.rows],
        goals=[goal for part in parts for goal in part.goals],
        ratios={name: values for part in parts for name, values in part.ratios.items()},
        after=parts[0].after,
    ).write(asked.json)


def models(asked: argparse.Namespace, home: Path) -> list[tuple[str, Path]]:
    if asked.model:
        return [(asked.model.name, asked.model)]
    titles = [asked.only] if asked.only else ["tiny", "30M", *(["0.5B"] if on_gpu() else [])]
    if "tiny" in titles:
        from demo.tiny_chat import build

        build(home / "tiny", steps=20)
    if titles != ["tiny"]:
        from answers import random_llama

        model, tokenizer = random_llama(ends=96)
        model.generation_config.eos_token_id = tokenizer.eos_token_id
        if "30M" in titles:
            model.cpu().save_pretrained(home / "30M")
            tokenizer.save_pretrained(home / "30M")
        if "0.5B" in titles:
            random_qwen(tokenizer).save_pretrained(home / "0.5B")
            tokenizer.save_pretrained(home / "0.5B")
    return [(title, home / title) for title in titles]


def random_qwen(tokenizer: Any) -> Any:
    """https://huggingface.co/Qwen/Qwen2.5-0.5B-Instruct/blob/main/config.json; of its vocabulary
    only the first ids have tokens."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=151_936,
            hidden_size=896,
            intermediate_size=4864,
            num_hidden_layers=24,
            num_attention_heads=14,
            num_key_value_heads=2,
            max_position_embeddings=32_768,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


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
    for line in hh_lines():
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


def compare(title: str, folder: Path, home: Path, asked: argparse.Namespace) -> Section:
    pairs = asked.pairs or PAIRS.get(title, 16)
    widths = write_pairs(folder, home, pairs)
    sides = [side for side in SIDES if side != BF16 or not on_gpu()]  # there all have it
    runs: dict[str, list[Figures]] = {side: [] for side in sides}
    for _ in range(asked.repeat):
        for side, got in runs.items():
            got.append(child(side, home, asked))
    first = runs[DEFAULTS][0]
    gaps = []
    for theirs, ours in COMPARED:
        a, b = (runs[side][0]["losses"] for side in (theirs, ours))
        assert len(a) == len(b), (len(a), len(b))
        gap = max(abs(one - other) for one, other in zip(a, b, strict=True))
        gaps.append(f"{gap:.1e} from {theirs} to {ours}")
    reach = heaps = ""
    if not on_gpu():
        counted = child("pairpress", home, asked, flops=True)["flops"]
        shares = [100 * counted / run["steps_s"] / run["rate"] for run in runs["pairpress"]]
        reach = f"; products of pairpress's steps are {told(shares, 0, ' %')} of the fp32 rate"
        swapped = {
            side: child(side, home, asked, other_heap=True)
            for side in (DEFAULTS, TUNED, "pairpress")
        }
        peaks = (f"{side} {one['peak_mb']:,.0f} MB" for side, one in swapped.items())
        ours = statistics.median(run["steps_s"] for run in runs["pairpress"])
        heaps = (
            " pairpress has the heap that `pairpress run` begins with (`tasks/core/heap.py`), TRL "
            f"the usual one. With the other's heap, once each: {', '.join(peaks)}, and "
            f"its steps take {swapped['pairpress']['steps_s'] / ours:.2f} times as long."
        )
    section = Section(
        title="Training",
        text=f"**{title}**: {first['parameters'] / 1e6:.2f} M parameters, "
        f"{first['trainable']:,} of them trained; {pairs} HH pairs of {min(widths)} to "
        f"{max(widths)} tokens (both sides, mean {statistics.mean(widths):.0f}), "
        f"{asked.epochs} epochs, {first['steps']} steps of {BATCH}; {first['device']}, "
        f"threads: {asked.threads}, turns: {asked.repeat}. The largest difference of a loss is "
        f"{' and '.join(gaps)}, over {len(first['losses'])} each. Products of matrices "
        f"(2,048 x 512 x 1,408) run at {_rate(runs, 'rate'):.0f} GFLOP/s in fp32 and "
        f"{_rate(runs, 'rate_bf16'):.0f} in bf16{reach}.{heaps}",
        columns=(
            "",
            "pairs/s in steps and reference",
            "times TRL's defaults",
            "times TRL tuned",
            "the first in CPU time",
            "whole training, times TRL's defaults",
            "peak memory",
        ),
        rows=[_row(title, side, runs) for side in sides],
        goals=_goals(title, runs),
        ratios={
            f"DPO steps, {title}, to {theirs}": _times(runs, theirs, "pairpress", "steps_s")
            for theirs in (DEFAULTS, TUNED)
        },
        after="The memory is the most that was allocated on the GPU."
        if on_gpu()
        else "The memory is the peak of a process, imports included.",
    )
    print(f"\n{section.text}")
    for row in section.rows:
        print("  ".join(row))
    for goal in section.goals:
        print(
            f"{'met   ' if goal.met else 'missed'} {goal.what}: {goal.got} {goal.why}", flush=True
        )
    return section


def _rate(runs: dict[str, list[Figures]], kind: str) -> float:
    return statistics.median(run[kind] for run in runs["pairpress"]) / 1e9


def _times(runs: dict[str, list[Figures]], theirs: str, ours: str, key: str) -> list[float]:
    return ratios([run[key] for run in runs[theirs]], [run[key] for run in runs[ours]])


def _row(title: str, side: str, runs: dict[str, list[Figures]]) -> list[str]:
    return [
        f"{title}: {side}",
        told([run["pairs"] / run["steps_s"] for run in runs[side]]),
        told(_times(runs, DEFAULTS, side, "steps_s")),
        told(_times(runs, TUNED, side, "steps_s")),
        told(_times(runs, DEFAULTS, side, "steps_cpu")),
        told(_times(runs, DEFAULTS, side, "whole_s")),
        f"{max(run['peak_mb'] for run in runs[side]):,.0f} MB",
    ]


def _goals(title: str, runs: dict[str, list[Figures]]) -> list[Goal]:
    """The median over the turns decides. On a GPU the goal is against TRL's best."""
    if on_gpu():
        against = min(
            (_times(runs, theirs, ours, "steps_s") for theirs, ours in COMPARED),
            key=statistics.median,
        )
        what, met = "at least 1.8 times TRL's best on a GPU", statistics.median(against) >= 1.8
        return [Goal(what, told(against), met, "")] if title == "0.5B" else []
    if title != "30M":
        return []
    bf16, fp32 = _rate(runs, "rate_bf16"), _rate(runs, "rate")
    slow = f"matrices are multiplied here at {bf16:.0f} GFLOP/s in bf16 and {fp32:.0f} in fp32"
    found = []
    for what, theirs, ours, least, why in (
        ("at least 6 times TRL's defaults", DEFAULTS, "pairpress", 6, ""),
        ("at least 2.5 times TRL well tuned", TUNED, "pairpress", 2.5, ""),
        ("at least 9 times TRL's defaults with the base in bf16", DEFAULTS, BF16, 9, slow),
    ):
        got = _times(runs, theirs, ours, "steps_s")
        found.append(Goal(what, told(got), statistics.median(got) >= least, why))
    for theirs in (DEFAULTS, TUNED):
        sides = ("pairpress", theirs)
        got = ratios(*([run["peak_mb"] for run in runs[side]] for side in sides))
        more = ratios(*([run["peak_mb"] - run["imports_mb"] for run in runs[s]] for s in sides))
        why = (
            f"{runs[theirs][0]['imports_mb']:,.0f} MB of TRL's are imports; without these it is "
            f"{told(more)}, {_kept(theirs)}"
        )
        met = statistics.median(got) <= 0.5
        what = f"at most half the peak memory of {theirs}, each with its heap"
        found.append(Goal(what, told(got), met, why))
    return found


def _kept(theirs: str) -> str:
    both = "both keep the layers for the backward pass"
    return both if theirs == TUNED else "where TRL computes each layer twice and pairpress keeps it"


def child(
    side: str,
    home: Path,
    asked: argparse.Namespace,
    flops: bool = False,
    other_heap: bool = False,
) -> Figures:
    tuned_heap = side.startswith("pairpress") != other_heap
    told = {name: value for name, value in os.environ.items() if name != heap.VARIABLE}
    log = home / "log.txt"
    with log.open("w") as file:
        done = subprocess.run(
            [
                *(sys.executable, __file__, "--epochs", str(asked.epochs)),
                *("--child", side, str(home), *(["--flops"] if flops else [])),
            ],
            env=told
            | {"HF_DATASETS_CACHE": str(home / f"cache-{time.time_ns()}")}
            | (heap.TUNED if tuned_heap else {}),
            stdout=subprocess.PIPE,
            stderr=file,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{side} ended with {done.returncode}:\n{log.read_text()[-4000:]}")
    found: Figures = json.loads(done.stdout)
    return found


def measure(side: str, home: Path, epochs: int, flops: bool) -> Figures:
    """One side in this process; imports and reading from the Hub are not timed.

    `flops` counts the operations of products in every step, which takes time of its own.
    """
    import datasets  # noqa: F401
    import torch
    import transformers.trainer
    import trl  # noqa: F401
    from peft import LoraConfig  # noqa: F401
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import TrainerCallback, trainer_pt_utils
    from trl import DPOTrainer

    from tasks.core.models import ModelRef, snapshot

    asked = json.loads((home / "run.json").read_text())
    snapshot(ModelRef(repo=asked["repo"], revision=asked["revision"]))
    found: Figures = {"steps_s": 0.0, "steps_cpu": 0.0, "losses": [], "steps": 0}

    @contextlib.contextmanager
    def clocked() -> Iterator[None]:
        counter = FlopCounterMode(display=False)
        with counter if flops else contextlib.nullcontext():
            waited()
            start, busy = time.perf_counter(), time.process_time()
            yield
            waited()
            found["steps_s"] += time.perf_counter() - start
            found["steps_cpu"] += time.process_time() - busy
        if flops:
            found["flops"] = found.get("flops", 0) + counter.get_total_flops()

    class Clock(TrainerCallback):  # type: ignore[misc]
        trains = False

        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.trains = True
            found["parameters"] = more["model"].num_parameters()
            found["trainable"] = more["model"].num_parameters(only_trainable=True)

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.step = clocked()
            self.step.__enter__()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.step.__exit__(None, None, None)
            found["steps"] += 1

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            found["losses"] += [logs[name] for name in ("loss", "eval_loss") if name in logs]

    clock = Clock()
    transformers.trainer.DEFAULT_CALLBACKS.append(clock)
    scored = DPOTrainer.compute_ref_log_probs

    def reference(self: Any, *given: Any, **told: Any) -> Any:
        with contextlib.nullcontext() if clock.trains else clocked():  # else the steps have it
            return scored(self, *given, **told)

    DPOTrainer.compute_ref_log_probs = reference
    grouped = trainer_pt_utils.get_length_grouped_indices

    def sorted_wholly(*given: Any, **told: Any) -> Any:
        """In a large data set 50 batches are sorted at once; of so few pairs none would be."""
        return grouped(*given, **told, mega_batch_mult=50)

    trainer_pt_utils.get_length_grouped_indices = sorted_wholly
    found["imports_mb"] = peak_mb()
    lines = (home / "pairs" / "train.jsonl").read_text().splitlines()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        start, busy = time.perf_counter(), time.process_time()
        SIDES[side](home, Path(folder), epochs)
        found["whole_s"] = time.perf_counter() - start
        found["whole_cpu"] = time.process_time() - busy
        assert list(Path(folder).rglob("adapter_model.safetensors")), "no adapter was saved"
    peak = torch.cuda.max_memory_allocated() / 1e6 if on_gpu() else peak_mb()
    device = torch.cuda.get_device_name() if on_gpu() else "CPU"
    found |= {"pairs": len(lines) * epochs, "peak_mb": peak, "device": device}
    if side == "pairpress":
        found |= {"rate": matrix_rate(torch.float32), "rate_bf16": matrix_rate(torch.bfloat16)}
    return found


def waited() -> None:
    """Until a GPU has done what it was told."""
    import torch

    if on_gpu():
        torch.cuda.synchronize()


def matrix_rate(dtype: Any) -> float:
    """Operations a second of 2,048 tokens through a layer of 512 to 1,408: the median of 20."""
    import torch

    device = "cuda" if on_gpu() else "cpu"
    tokens, weights = (
        torch.randn(*shape, dtype=dtype, device=device) for shape in ((2048, 512), (1408, 512))
    )
    taken = []
    for _ in range(20):
        start = time.perf_counter()
        found = torch.nn.functional.linear(tokens, weights)
        float(found[0, 0])  # a GPU has it once it is asked for
        taken.append(time.perf_counter() - start)
    return 2 * 2048 * 512 * 1408 / statistics.median(taken)


def peak_mb() -> float:
    """Of this process alone; getrusage also knows what its parent held when it began."""
    kilobytes = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert kilobytes
    return int(kilobytes[1]) / 1e3


def by_trls_defaults(home: Path, folder: Path, epochs: int) -> None:
    by_trl(home, folder, epochs)


def by_tuned_trl(home: Path, folder: Path, epochs: int) -> None:
    """The same training, set up by somebody who knows TRL."""
    from tasks.core.sampling import order_pairs

    # transformers' own grouping draws from the global state: another order
    by_trl(
        *(home, folder, epochs, lambda trainer: order_pairs(trainer, "group_by_length")),
        activation_checkpointing=False,
        precompute_ref_log_probs=True,
        **({"model_init_kwargs": {"dtype": "bfloat16"}} if on_gpu() else {}),
    )


def by_trl(home: Path, folder: Path, epochs: int, change: Any = None, **told: Any) -> None:
    from datasets import load_dataset
    from peft import LoraConfig, TaskType
    from trl import DPOConfig, DPOTrainer

    data = load_dataset(str(home / "pairs"))
    config = DPOConfig(
        output_dir=str(folder),
        learning_rate=RATE,
        num_train_epochs=epochs,
        eval_strategy="steps",
        eval_steps=steps_of(home, epochs),
        eval_on_start=True,
        # What this machine and the comparison need; nothing of it changes the training.
        logging_steps=1,
        report_to="none",
        bf16=on_gpu(),
        use_cpu=not on_gpu(),
        **told,
    )
    trainer = DPOTrainer(
        model=json.loads((home / "run.json").read_text())["folder"],
        args=config,
        train_dataset=data["train"],
        eval_dataset=data["test"],
        peft_config=LoraConfig(
            r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type=TaskType.CAUSAL_LM
        ),
    )
    if change is not None:
        change(trainer)
    trainer.train()
    trainer.save_model(str(folder))


def steps_of(home: Path, epochs: int) -> int:
    pairs = len((home / "pairs" / "train.jsonl").read_text().splitlines())
    return epochs * -(-pairs // BATCH)


def machine(**told: Any) -> Machine:
    """Its defaults; on a GPU the shared prompt has to be asked for."""
    return Machine(shared_prompt=on_gpu() or None, **told)


def by_pairpress(home: Path, folder: Path, epochs: int) -> None:
    trained(home, folder, epochs, machine(), "random")


def by_tuned_pairpress(home: Path, folder: Path, epochs: int) -> None:
    tuned = machine(gradient_checkpointing=False, precompute_ref_log_probs=True)
    trained(home, folder, epochs, tuned, "group_by_length")


def by_pairpress_in_bf16(home: Path, folder: Path, epochs: int) -> None:
    trained(home, folder, epochs, Machine(bf16=True), "random")


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
            train_sampling_strategy=strategy,
        ),
        loss=Loss(beta=BETA),
        lora=Lora(r=RANK, lora_alpha=ALPHA),
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
    DEFAULTS: by_trls_defaults,
    TUNED: by_tuned_trl,
    "pairpress": by_pairpress,
    "pairpress, tuned": by_tuned_pairpress,
    BF16: by_pairpress_in_bf16,
}


if __name__ == "__main__":
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"}
    main()
