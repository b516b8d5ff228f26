"""Raw rows -> preference rows (or prompts), rendered by the base's chat template; then split."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.core import models, reformat, render, split
from tasks.core import rows as rows_file
from tasks.core.models import ModelRef, load_tokenizer
from tasks.core.reformat import Row
from tasks.core.rows import read_rows, write_rows
from tasks.core.settings import Data, Splits
from tasks.core.stage import Folder
from tasks.staged import markdown, stage_task, staged


@stage_task("reformat")
def reformat_rows(raw: Folder, base: ModelRef, data: Data) -> Folder:
    settings = {"system_prompt": data.system_prompt, "max_length": data.max_length}
    form = raw.facts["form"]

    def make(folder: Path) -> dict[str, Any]:
        rows, aside = reformat.reformat(
            form, read_rows(raw.path / "rows.parquet"), data.system_prompt
        )
        rows, unrendered = render.measure_tokens(rows, load_tokenizer(base), data.max_length)
        return write_stage(folder, rows, aside + unrendered) | {"form": form}

    made_from = {"raw": raw.digest, "base": str(base), **settings}
    folder = staged(
        "reformat", made_from, (reformat, render, models, rows_file), make, ("transformers",)
    )
    markdown("set-aside-by-reformat", "Rows set aside while reformatting", reasons(folder))
    return folder


@stage_task("split")
def split_prompts(rows: Folder, splits: Splits, held_out: Sequence[str]) -> Folder:
    """By prompt; the recipe's own questions are always held out."""
    settings = splits.model_dump()

    def make(folder: Path) -> dict[str, Any]:
        kept, aside = split.split_rows(
            read_rows(rows.path / "rows.parquet"), held_out=held_out, **settings
        )
        counts = Counter(row["split"] for row in kept)
        return write_stage(folder, kept, aside) | {"form": rows.facts["form"]} | dict(counts)

    made_from = {"rows": rows.digest, "held_out": list(held_out), **settings}
    return staged("split", made_from, (split, rows_file), make)


def write_stage(folder: Path, rows: list[Row], aside: list[Row]) -> dict[str, Any]:
    """rows.parquet and set_aside.parquet; facts: how many, and why."""
    write_rows(folder / "rows.parquet", rows)
    write_rows(folder / "set_aside.parquet", aside)
    why = Counter(row["reason"].split(", first in row")[0] for row in aside)
    return {"rows": len(rows), "set_aside": len(aside), "reasons": dict(why.most_common())}


def reasons(folder: Folder) -> str:
    """A Markdown table of what a stage set aside."""
    lines = [f"| {reason} | {count} |" for reason, count in folder.facts["reasons"].items()]
    return "\n".join(["| reason | rows |", "|---|---|", *lines]) if lines else "None."
