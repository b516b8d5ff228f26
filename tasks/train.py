"""Pairs -> a LoRA adapter. Called directly, not submitted: one GPU should hold one model."""

from pathlib import Path
from typing import Any

from tasks.core import rows as rows_file
from tasks.core import train
from tasks.core.models import ModelRef
from tasks.core.rows import read_rows
from tasks.core.settings import Data, Gate, Lora, Loss, Training
from tasks.core.stage import Folder
from tasks.staged import markdown, stage_task, staged


@stage_task("train")
def train_lora(
    base: ModelRef,
    pairs: Folder,
    data: Data,
    training: Training,
    loss: Loss,
    lora: Lora,
    gate: Gate,
) -> Folder:
    """facts: steps, trainable parameters, the last evaluation's metrics."""
    recipe = train.Recipe(
        **training.model_dump(),
        **loss.model_dump(),
        **lora.model_dump(),
        max_length=data.max_length,
        stop_at_token_accuracy=gate.token_accuracy,
    )

    def make(folder: Path) -> dict[str, Any]:
        rows = read_rows(pairs.path / "rows.parquet")
        sides = {side: [r for r in rows if r["split"] == side] for side in ("train", "validation")}
        return train.train_adapter(base, sides["train"], sides["validation"], recipe, folder)

    made_from = {"pairs": pairs.digest, "base": str(base), "recipe": vars(recipe)}
    packages = ("torch", "transformers", "trl", "peft", "accelerate")
    folder = staged("train", made_from, (train, rows_file), make, packages)
    lines = "\n".join(f"| {name} | {value} |" for name, value in folder.facts.items())
    markdown("training", "Training", f"| metric | value |\n|---|---|\n{lines}")
    return folder
