"""A training of a small random model, in seconds: base, pairs, recipe, and the training itself.

in   a folder; settings that differ from the small recipe's
out  ModelRef of a folder, Recipe, facts
"""

from pathlib import Path
from typing import Any

from random_models import tokenizer_in, writer

from tasks.core.machine import effective
from tasks.core.models import ModelRef
from tasks.core.settings import Batch, Lora, Loss, Machine, Training, Watch
from tasks.core.tracking import Trackers
from tasks.core.train import Recipe, train_adapter

WORDS = ("red", "green", "blue", "seven", "paper", "house")


def pair(number: int) -> dict[str, Any]:
    word = WORDS[number % len(WORDS)]
    asked = f"Say {word}, number {number}" + "!" * (number % 7)
    return {
        "prompt": [{"role": "user", "content": asked}],
        "chosen": [{"role": "assistant", "content": f"{word} it is."}],
        "rejected": [{"role": "assistant", "content": "I will not say it." * (1 + number % 2)}],
    }


PAIRS = [pair(number) for number in range(30)]
TRAIN, VALIDATION = PAIRS[:22], PAIRS[22:]


def small_base(folder: Path) -> ModelRef:
    folder.mkdir(parents=True, exist_ok=True)
    writer(tokenizer_in(folder)).save_pretrained(folder)
    return ModelRef(repo=str(folder), revision="0" * 40)


def recipe(**sections: dict[str, Any]) -> Recipe:
    training = {"learning_rate": 1e-3, "max_steps": 8}
    batch = {"per_device_train_batch_size": 4}
    return Recipe(
        training=Training(**training | sections.get("training", {})),
        batch=Batch(**batch | sections.get("batch", {})),
        loss=Loss(**sections.get("loss", {})),
        lora=Lora(**{"r": 2} | sections.get("lora", {})),
        watch=Watch(**sections.get("watch", {})),
        machine=effective(Machine(**sections.get("machine", {})), each_pair_again=False),
        max_length=64,
    )


def train(
    base: ModelRef, recipe: Recipe, folder: Path, reference: Path | None = None
) -> dict[str, Any]:
    """Into folder/stage, with folder/work and folder/events beside it."""
    (folder / "stage").mkdir(parents=True, exist_ok=True)
    return train_adapter(
        *(base, TRAIN, VALIDATION, recipe, folder / "stage"),
        work=folder / "work",
        reference=reference,
        trackers=Trackers(folder / "events", "small"),
    )


def left_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
