"""python benchmarks/divergence.py [--seeds 1 2 3] [--rates 1 10 100] [--draw FILE]

What a training looks like that wrecks its model, beside one that does not: the demo's recipe at
multiples of its learning rate on tiny chat models from several seeds. The recipe itself is trained
as it is written. All others are trained twice: as they are written, so that `watch.limits` may stop
them, and without limits and without an early end, so that there is something for the gate to judge.
The table shows the last evaluation of the longer training, at which step a limit stopped the other
one, and what the answers to held-out questions are. --draw writes the curves of the first seed.
"""

import argparse
import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import texts
from tasks.core.fields import Row
from tasks.core.models import ModelRef
from tasks.core.settings import Recipe

ROOT = Path(__file__).resolve().parents[1]
RECIPE = "demo"
BASE_STEPS = 600  # two thirds of the demo's: its other answers are right, which 400 do not bring
UNWATCHED_STEPS = 60  # a little more than the recipe's own rate needs
SHOWN = (
    *("validation.loss", "validation.reward_accuracy", "validation.reward_margin"),
    *("validation.chosen_rewards", "validation.token_accuracy"),
    *("strict", "exact", "same", "old_name"),
)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    options.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options.add_argument("--rates", type=float, nargs="+", default=[1, 10, 100])
    options.add_argument("--draw", type=Path, help="where to write the PNG")
    asked = options.parse_args()
    from localhub.client_env import client_environment, running

    print("| seed | rate | steps | " + " | ".join(SHOWN) + " | stopped at | gate misses |")
    with tempfile.TemporaryDirectory() as name, running(Path(name) / "hub") as hub:
        home = Path(name)
        os.environ |= client_environment(hub.url, hub.token, home / "hf") | {"TQDM_DISABLE": "1"}
        for seed in asked.seeds:
            base = base_on_hub(home / f"base-{seed}", BASE_STEPS, seed)
            ground = prepare(base, demo_recipe(), home / f"ground-{seed}")
            runs = {}
            for times in asked.rates:
                run = runs[times] = compared(ground, demo_recipe(), times, home)
                print(f"| {seed} | x {times:g} | {run} |", flush=True)
            if asked.draw and seed == asked.seeds[0]:
                draw(runs, asked.draw)


def demo_recipe() -> Recipe:
    from tasks.core.recipes import read_recipe

    return read_recipe(RECIPE, ROOT / "prefect.yaml")


def changed(recipe: Recipe, **sections: dict[str, Any]) -> Recipe:
    """The recipe with other values in some of its sections."""
    return recipe.model_copy(
        update={name: getattr(recipe, name).model_copy(update=u) for name, u in sections.items()}
    )


def base_on_hub(folder: Path, steps: int, seed: int) -> ModelRef:
    """A tiny chat model trained from this seed, on the Hub in use, at its commit."""
    from huggingface_hub import HfApi

    from demo.tiny_chat import build
    from tasks.core.models import resolve_model

    build(folder, steps=steps, seed=seed)
    repo = f"pairpress/{folder.name}"
    HfApi().create_repo(repo, exist_ok=True)
    HfApi().upload_folder(repo_id=repo, folder_path=folder)
    return resolve_model(repo, "main")


@dataclass(frozen=True)
class Ground:
    """A base with its pairs and its earlier answers: what every rate starts from."""

    base: ModelRef
    pairs: dict[str, list[Row]]  # by split
    questions: list[Row]
    answers: list[str]


def prepare(base: ModelRef, recipe: Recipe, folder: Path) -> Ground:
    """As the demo makes them: its own conversations, split by prompt, its own answers corrected."""
    from tasks.core.correction import correction_pairs
    from tasks.core.models import load_model, load_tokenizer
    from tasks.core.questions import questions_of
    from tasks.core.rows import read_rows, write_rows
    from tasks.core.split import split_file

    assert recipe.curation
    system = {"role": "system", "content": recipe.reformat.system_prompt}
    rows = [
        {"row": number, "prompt": [system, {"role": "user", "content": one["value"]}]}
        for number, one in enumerate((c["conversations"][0] for c in texts.conversations()), 1)
    ]
    folder.mkdir(parents=True)
    write_rows(folder / "rows.parquet", rows)
    splits, held_out = recipe.splits.model_dump(), recipe.evaluation.questions
    split_file(folder / "rows.parquet", folder / "split.parquet", **splits, held_out=held_out)
    rows = read_rows(folder / "split.parquet")
    model, tokenizer = load_model(base), load_tokenizer(base)
    pairs, _ = correction_pairs(
        rows, lambda prompts: answered(model, tokenizer, prompts), recipe.curation.renames
    )
    tests = [row for row in rows if row["split"] == "test"]
    others = str(ROOT / str(recipe.evaluation.other_questions))
    asked = recipe.evaluation.model_copy(update={"other_questions": others})
    questions: list[Row] = [
        *questions_of(asked, tests, recipe.measure.max_prompts, recipe.reformat.system_prompt)
    ]
    answers = answered(model, tokenizer, [one["prompt"] for one in questions])
    by_split = {
        side: [row for row in pairs if row["split"] == side] for side in ("train", "validation")
    }
    return Ground(base, by_split, questions, [one.text for one in answers])


def answered(model: Any, tokenizer: Any, prompts: list[Any]) -> list[Any]:
    from tasks.core.generate import generate

    return generate(model, tokenizer, prompts, max_new_tokens=64, batch_size=32, title="answers")


@dataclass(frozen=True)
class Trained:
    facts: dict[str, Any]
    history: list[dict[str, Any]]
    adapter: Path


def train(ground: Ground, recipe: Recipe, folder: Path) -> Trained:
    """The recipe's training. Raises tasks.core.watching.Diverged where it breaks a limit."""
    from tasks.core import train as core
    from tasks.core.machine import effective
    from tasks.core.tracking import Trackers

    folder.mkdir(parents=True)
    told = core.Recipe(
        training=recipe.training,
        batch=recipe.batch,
        loss=recipe.loss,
        lora=recipe.lora,
        watch=recipe.watch,
        machine=effective(recipe.machine, each_pair_again=False),
        max_length=recipe.reading.max_length,
    )
    facts = core.train_adapter(
        ground.base,
        ground.pairs["train"],
        ground.pairs["validation"],
        told,
        folder,
        work=folder.with_name(f"{folder.name}-work"),
        reference=None,
        trackers=Trackers(folder.with_name(f"{folder.name}-tracked"), RECIPE),
    )
    history = json.loads((folder / "history.json").read_text())
    return Trained(facts, history, folder / "adapter")


def at_rate(recipe: Recipe, times: float) -> Recipe:
    """Nothing but the learning rate is another one."""
    return changed(recipe, training={"learning_rate": recipe.training.learning_rate * times})


def unwatched(recipe: Recipe) -> Recipe:
    """Trained to its last step, whatever it looks like; the last checkpoint goes on."""
    free = {"limits": (), "stop_when": None, "metric_for_best_model": "last"}
    return changed(recipe, watch=free, training={"max_steps": UNWATCHED_STEPS})


def metrics_of(ground: Ground, recipe: Recipe, trained: Trained) -> dict[str, float]:
    """What the gate is shown: the last evaluation, and the answers to the held-out questions."""
    from tasks.core.behaviour import measured
    from tasks.core.models import load_model, load_tokenizer
    from tasks.core.sentences import TRAINING

    assert recipe.curation
    model = load_model(ground.base, trained.adapter)
    prompts = [one["prompt"] for one in ground.questions]
    after = [one.text for one in answered(model, load_tokenizer(ground.base), prompts)]
    seen = {f"validation.{name}": trained.facts[name] for name in TRAINING}
    return seen | measured(ground.questions, ground.answers, after, recipe.curation.renames)


def refusals(recipe: Recipe, metrics: dict[str, float]) -> list[str]:
    """The sentences of the gate that are not met."""
    from tasks.core.gate import judge

    return [one.text for one in judge(recipe.gate, metrics, {}, None) if not one.passed]


@dataclass(frozen=True)
class Compared:
    stopped: str  # at which step a limit was broken
    trained: Trained
    metrics: dict[str, float]
    refused: list[str]

    def __str__(self) -> str:
        values = " | ".join(f"{self.metrics[name]:.3g}" for name in SHOWN)
        misses = ", ".join(text.split()[0] for text in self.refused) or "none"
        return f"{self.trained.facts['steps']} | {values} | {self.stopped} | {misses}"


def compared(ground: Ground, recipe: Recipe, times: float, home: Path) -> Compared:
    """The recipe at a multiple of its rate, watched; and unwatched, but for the recipe itself."""
    from tasks.core.watching import Diverged

    told = at_rate(recipe, times)
    folder = Path(tempfile.mkdtemp(dir=home))
    stopped, trained = "", None
    try:
        trained = train(ground, told, folder / "watched")
    except Diverged as diverged:
        found = re.search(r"at step (\d+)", str(diverged))
        stopped = found[1] if found else str(diverged)
    if trained is None or told != demo_recipe():
        trained = train(ground, unwatched(told), folder / "unwatched")
    metrics = metrics_of(ground, told, trained)
    return Compared(stopped, trained, metrics, refusals(told, metrics))


def draw(runs: dict[float, Compared], path: Path) -> None:
    from tasks.core.curves import side_by_side

    histories = {
        "as it is" if times == 1 else f"rate x {times:g}": run.trained.history
        for times, run in runs.items()
    }
    side_by_side(histories, path, limits=demo_recipe().watch.limits)


if __name__ == "__main__":
    main()
