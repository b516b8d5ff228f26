"""python benchmarks/memory.py [--pairs 160000] [--whole] [--json FILE]

Peak memory of every stage of a run, from loading to the tags, with real HH pairs and the tiny chat
model of the demo: each stage in a process of its own, then all of the data in one process and all
of the training in one, as a run has them. Needs the HH-RLHF files of ../shared/data.

The pairs are the published ones with a running number in the first human turn and the words of
every turn in another order, so that none is near another and all go on to the training; 98 % are
trained on. A stage is the task that a run calls, by a running Prefect server and a Hub on loopback.
The peak is the highest resident set of the process (VmHWM), the largest of its own children added;
beside it what stands above the process's imports.

Training has a few steps: its memory is that of all pairs in reach of the trainer, tokenised, and of
one batch. The reference is made of all pairs, too, but only the first batches, the largest ones,
are really scored: the others take time and no more memory. --whole scores them all.

It is long because every stage is called as the flows call it.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from typing import Any

from orchestration import SERVER, server
from page import Goal, Section
from rewrite import ROOT, write_pairs
from train import put_on_hub

from tasks.core import heap

GOAL = 2560  # MiB
REPOSITORY = "pairpress/memory"
STEPS = 4
SCORED = 20  # batches of the reference; 16,384 tokens each
DATA = ("load", "reformat", "deduplicate", "split", "curate", "account", "validate")
TRAINING = ("evaluate before", "reference", "train", "evaluate after", "gate", "merge")
RELEASE = ("write release", "stage on branches", "verify release", "promote")
RUNS = (
    *((name, (name,)) for name in (*DATA, *TRAINING, *RELEASE)),
    ("all of the data", DATA),
    ("all of the training", TRAINING),
)
IMPORTED = {  # before the clock starts: what the stages import themselves
    DATA: ("flows.prepare_data", "transformers", "pyarrow.parquet"),
    TRAINING: ("flows.align_model", "datasets", "peft", "trl.trainer.dpo_trainer"),
    RELEASE: ("flows.release_model", "matplotlib.pyplot", "transformers"),
}

Figures = dict[str, Any]
Had = dict[str, Any]


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    options.add_argument("--pairs", type=int, default=160_000)
    options.add_argument("--whole", action="store_true", help="score every pair of the reference")
    options.add_argument("--json", type=Path, help="the section for docs/benchmarks.md")
    options.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.child:
        print(json.dumps(measure(Path(asked.child[0]), asked.child[1:], asked.whole)))
        return
    from localhub.client_env import client_environment, running

    with tempfile.TemporaryDirectory() as name, running(Path(name) / "hub") as hub:
        home = Path(name)
        os.environ |= client_environment(hub.url, hub.token, home / "hf") | environment(home)
        from demo.tiny_chat import build  # the Hub's client reads the environment once

        build(home / "tiny", steps=20)
        put_on_hub("tiny", home / "tiny", home)
        write_pairs(home / "pairs.jsonl", asked.pairs, shuffled=True)
        with server(dict(os.environ)):
            os.environ["PREFECT_API_URL"] = SERVER
            found = measured(home, asked)
    tell(found, asked)


def environment(home: Path) -> dict[str, str]:
    return {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_TO_CONSOLE": "false",
        "DO_NOT_TRACK": "1",
    }


def measured(home: Path, asked: argparse.Namespace) -> dict[str, Figures]:
    """A line is printed as soon as its process has ended."""
    print(f"{'stage':20}{'peak MiB':>10}{'over imports':>14}{'seconds':>10}", flush=True)
    found = {}
    for title, names in RUNS:
        found[title] = one = child(home, title, names, asked.whole)
        print(
            f"{title:20}{one['peak']:10,.0f}{one['peak'] - one['imports']:14,.0f}"
            f"{one['seconds']:10.1f}",
            flush=True,
        )
    return found


def child(home: Path, title: str, names: Sequence[str], whole: bool) -> Figures:
    """Stages that follow one another in one process begin with a work folder of their own."""
    work = home / ("work" if len(names) == 1 else f"work-{title.replace(' ', '-')}")
    log = home / "log.txt"
    with log.open("w") as file:
        done = subprocess.run(
            [
                *(sys.executable, __file__, *(["--whole"] if whole else [])),
                *("--child", str(home), *names),
            ],
            env=os.environ | {"PAIRPRESS_HOME": str(work)} | heap.TUNED,
            stdout=subprocess.PIPE,
            stderr=file,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{title} ended with {done.returncode}:\n{log.read_text()[-4000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(home: Path, names: Sequence[str], whole: bool) -> Figures:
    """What the stages made is kept for the process of the next one."""
    for group, modules in IMPORTED.items():
        if names[0] in group:
            for module in modules:
                import_module(module)
    from prefect import flow
    from prefect.serializers import JSONSerializer

    if names[0] in TRAINING and not whole:
        score_no_more_than(SCORED)
    path, kept = home / "had.json", JSONSerializer()
    had: Had = kept.loads(path.read_bytes()) if path.exists() else begun(home)
    found: Figures = {}

    @flow(name="memory", log_prints=False)
    def walk() -> None:
        found["imports"], began = peak(), time.perf_counter()
        for name in names:
            call(name, had)
        found["seconds"] = time.perf_counter() - began

    walk()
    found["peak"] = peak()
    if len(names) == 1:
        path.write_bytes(kept.dumps(had))
    return found | {"trained": had["prompts"].facts["train"] if "prompts" in had else 0}


def peak() -> float:
    """MiB: of this process, and of its largest child beside it."""
    kilobytes = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert kilobytes
    return (int(kilobytes[1]) + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def score_no_more_than(batches: int) -> None:
    """All pairs are tokenised, ordered and collated; after some batches nothing is computed. Then
    most of the reference is zeros, which two looks before the first step would refuse."""
    import torch
    from trl import DPOTrainer

    from tasks.core import train, watching

    computed, left = DPOTrainer.compute_ref_log_probs, iter(range(batches))

    def compute(self: Any, model: Any, inputs: Any) -> Any:
        if next(left, None) is not None:
            return computed(self, model, inputs)
        nothing = torch.zeros(len(inputs["input_ids"]) // 2)
        return nothing, nothing

    DPOTrainer.compute_ref_log_probs = compute
    train.check_start = lambda trainer: None
    watching.require_ln2 = lambda loss, recipe: None


def begun(home: Path) -> Had:
    from tasks.core.models import ModelRef
    from tasks.core.refs import News
    from tasks.core.settings import Recipe

    tiny = json.loads((home / "run.json").read_text())
    recipe = Recipe.model_validate(
        {
            "base": {"model": tiny["repo"]},
            "data": {"path": str(home / "pairs.jsonl")},
            "release": {"repository": REPOSITORY},
            # As the recipe hh-tinyllama-full has them.
            "reading": {"max_length": 2048},
            "splits": {"validation": 0.01, "test": 0.01, "max_test": 960},
            "training": {"max_steps": STEPS},
            "watch": {"eval_steps": STEPS, "max_eval_pairs": 960},
            "measure": {"max_pairs": 960},
            "machine": {"precompute_ref_log_probs": True},
            "rehearsal": True,  # checks and gates tell what they would refuse
        }
    )
    base = ModelRef(repo=tiny["repo"], revision=tiny["revision"])
    had = {"recipe": recipe, "base": base, "to": REPOSITORY, "last": None}
    return had | {"news": News(digest="0" * 64, standing=None)}


def call(stage: str, had: Had) -> None:
    """As flows/prepare_data.py and those after it do."""
    from tasks import account, curate, evaluate, gate, load, merge, publish, reformat, train
    from tasks.core.refs import Aligned, Candidate, Prepared
    from tasks.validate import validate_pairs

    def aligned(had: Had) -> Aligned:
        best, verdicts, table = had["gate"]
        parts = {name: had[name] for name in ("before", "adapter", "after", "merged")}
        return Aligned(recipe=best.recipe, gate=verdicts, tried=table, **parts)

    made: dict[str, Callable[[Had], Any]] = {
        "reading": lambda had: had["recipe"].reading,
        "data": lambda had: had["recipe"].data,
        "earlier": lambda had: [had["rows"], had["distinct"]],
        "stages": lambda had: [had[one] for one in ("rows", "distinct", "prompts", "pairs")],
        "tried": lambda had: [
            Candidate(recipe=had["recipe"], adapter=had["adapter"], after=had["after"])
        ],
        "prepared": lambda had: Prepared(**{name: had[name] for name in Prepared.model_fields}),
        "aligned": aligned,
    }
    known = {  # stage -> what it makes, the task, what it is given
        "load": ("raw", load.load_rows, "recipe"),
        "reformat": ("rows", reformat.reformat_rows, "raw base recipe"),
        "deduplicate": ("distinct", reformat.drop_repeated, "rows reading"),
        "split": ("prompts", reformat.split_prompts, "distinct earlier recipe"),
        "curate": ("pairs", curate.curate_pairs, "prompts base recipe"),
        "account": ("account", account.account_rows, "raw stages data"),
        "validate": ("checks", validate_pairs, "raw account pairs base recipe"),
        "evaluate before": ("before", evaluate.evaluate_base, "base prompts pairs recipe"),
        "reference": ("reference", train.keep_reference, "base pairs recipe"),
        "train": ("adapter", train.train_lora, "base pairs reference recipe"),
        "evaluate after": ("after", evaluate.evaluate_adapter, "base adapter before pairs recipe"),
        "gate": ("gate", gate.pass_gate, "tried before last recipe"),
        "merge": ("merged", merge.merge_model, "base adapter after prompts recipe"),
        "write release": ("written", publish.write_release, "to news base prepared aligned recipe"),
        "stage on branches": ("staged", publish.place_release, "written"),
        "verify release": ("verified", publish.verify_release, "staged"),
        "promote": ("promoted", publish.promote_parts, "staged"),
    }
    name, task, given = known[stage]
    had[name] = task(*(made.get(one, itemgetter(one))(had) for one in given.split()))


def tell(found: dict[str, Figures], asked: argparse.Namespace) -> None:
    alone = {title: found[title] for title, names in RUNS if len(names) == 1}
    highest = max(alone, key=lambda title: float(alone[title]["peak"]))
    most = alone[highest]["peak"]
    trained = found["train"]["trained"]
    scored = "all of it" if asked.whole else f"the first {SCORED} batches, which are the largest,"
    print(f"\nhighest: {highest}, {most:,.0f} MiB (goal {GOAL:,}); {trained:,} pairs trained on")
    Section(
        title="Memory of every stage",
        text=(
            f"{asked.pairs:,} real HH pairs, none near another, and the tiny chat model; "
            f"{trained:,} of them are trained on. Each stage ran once, in a process of its own, "
            "then all of the data and all of the training in one process each. Peak: the highest "
            "resident set of the process and of its largest child, its imports and the files that "
            f"it maps into memory among them. Training had {STEPS} steps with every pair tokenised "
            f"and in reach. Of the reference {scored} went through the model; what did not was "
            "tokenised, ordered and collated."
        ),
        columns=("stage", "peak, MiB", "above its imports, MiB", "s"),
        rows=[
            (
                title,
                f"{one['peak']:,.0f}",
                f"{one['peak'] - one['imports']:,.0f}",
                f"{one['seconds']:.1f}",
            )
            for title, one in found.items()
        ],
        goals=[
            Goal(
                what=f"no stage above 2.5 GiB for {asked.pairs:,} HH pairs with the tiny model",
                got=f"{most:,.0f} MiB at most, in: {highest}",
                met=most <= GOAL,
            )
        ],
        after="Seconds are of one run and only say what takes long.",
    ).write(asked.json)


if __name__ == "__main__":
    main()
