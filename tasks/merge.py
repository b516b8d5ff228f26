"""Base + adapter -> merged model, compared with the two on held-out prompts."""

from pathlib import Path
from typing import Any

from tasks.core import merge, rows
from tasks.core.models import ModelRef
from tasks.core.rows import of_split, read_rows
from tasks.core.settings import Evaluation
from tasks.core.stage import Folder
from tasks.staged import stage_task, staged


@stage_task("merge")
def merge_model(
    base: ModelRef, adapter: Folder, after: Folder, prompts: Folder, evaluation: Evaluation
) -> Folder:
    """facts: prompts compared, largest logit difference, unequal greedy answers."""
    settings = {"max_new_tokens": evaluation.max_new_tokens, "batch_size": evaluation.batch_size}

    def make(folder: Path) -> dict[str, Any]:
        asked = [row["prompt"] for row in read_rows(after.path / "answers.parquet")]
        compared = merge.prompts_to_compare(asked, of_split(prompts, "test"))
        return merge.merge_adapter(base, adapter.path / "adapter", compared, folder, **settings)

    made_from = {
        "base": str(base),
        "adapter": adapter.digest,
        "after": after.digest,
        "prompts": prompts.digest,
        **settings,
    }
    return staged("merge", made_from, (merge, rows), make, ("torch", "transformers", "peft"))
