"""Base + adapter -> merged model, compared with the two on held-out prompts."""

from pathlib import Path
from typing import Any

from tasks.core import merge, rows
from tasks.core.models import ModelRef
from tasks.core.rows import of_split, read_rows
from tasks.core.settings import Recipe
from tasks.core.stage import Folder
from tasks.staged import log, stage_task, staged
from tasks.story import markdown

COLUMNS = ("largest", "mean", "top1", "greedy", "unequal")
READ = (
    "largest, mean: difference of a logit; top1, greedy: share of tokens and of whole answers on "
    "which both agree; unequal: answers that differ."
)


@stage_task("merge")
def merge_model(
    base: ModelRef, adapter: Folder, after: Folder, prompts: Folder, recipe: Recipe
) -> Folder:
    """facts: prompts compared, number format, and how far each two of the three are apart."""
    settings = recipe.measure.model_dump(include={"max_new_tokens", "batch_size"})
    settings |= {"dtype": recipe.merge.dtype, "rehearsal": recipe.rehearsal}

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
    folder = staged("merge", made_from, (merge, rows), make, ("torch", "transformers", "peft"))
    for fault in folder.facts["faults"]:
        log(f"merge, would refuse: {fault}")
    facts = folder.facts
    gist = "; ".join(facts["faults"]) or f"the same answers to {facts['prompts']:,} prompts"
    page = f"{parity_table(facts['parity'])}\n\n{READ}"
    markdown("merge-parity", "Adapter, merged, loaded again", page, gist)
    return folder


def parity_table(parity: dict[str, dict[str, float]]) -> str:
    heads = f"| compared | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}"
    lines = (
        f"| {name.replace('_', ' and ')} | {' | '.join(f'{one[key]:.4g}' for key in COLUMNS)} |"
        for name, one in parity.items()
    )
    return "\n".join([heads, *lines])
