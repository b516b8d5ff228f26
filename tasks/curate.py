"""Prompts -> pairs from the model's own answers. Ready pairs pass through untouched."""

from pathlib import Path
from typing import Any

from tasks.core import curate, generate, models, render
from tasks.core import rows as rows_file
from tasks.core.curate import require_all_splits
from tasks.core.errors import InputError
from tasks.core.models import ModelRef, load_model, load_tokenizer
from tasks.core.reformat import Message
from tasks.core.rows import read_rows
from tasks.core.settings import Correction, Data
from tasks.core.stage import Folder
from tasks.reformat import reasons, write_stage
from tasks.staged import markdown, stage_task, staged


@stage_task("curate")
def curate_pairs(rows: Folder, base: ModelRef, correction: Correction | None, data: Data) -> Folder:
    if rows.facts["form"] != "conversations":
        return rows
    if correction is None:
        raise InputError(
            f"data.path {data.path}: conversations hold no second answer to prefer. "
            "Set curation.old_name and curation.new_name, or give preference pairs."
        )
    asked = correction

    def make(folder: Path) -> dict[str, Any]:
        tokenizer, model = load_tokenizer(base), load_model(base)

        def ask(prompts: list[list[Message]]) -> list[generate.Answer]:
            return generate.generate(
                model,
                tokenizer,
                prompts,
                max_new_tokens=asked.max_new_tokens,
                batch_size=asked.batch_size,
                title="own answers",
            )

        pairs, aside = curate.correction_pairs(
            read_rows(rows.path / "rows.parquet"), ask, asked.old_name, asked.new_name
        )
        pairs, too_long = render.measure_tokens(pairs, tokenizer, data.max_length)
        require_all_splits(pairs, aside + too_long)
        return write_stage(folder, pairs, aside + too_long) | {"form": "pairs"}

    made_from = {
        "rows": rows.digest,
        "base": str(base),
        "max_length": data.max_length,
        **correction.model_dump(),
    }
    packages = ("torch", "transformers")
    folder = staged(
        "curate", made_from, (curate, generate, render, models, rows_file), make, packages
    )
    markdown("set-aside-by-curate", "Answers set aside while curating", reasons(folder))
    return folder
