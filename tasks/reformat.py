"""Source rows -> preference rows (or prompts) in tokens of the base; each once; then split."""

from pathlib import Path
from typing import Any

from tasks.core import duplicates, forms, models, placeholders, reformat, render, rewrite, split
from tasks.core import rows as rows_file
from tasks.core.errors import InputError
from tasks.core.models import ModelRef, load_tokenizer
from tasks.core.rows import write_rows
from tasks.core.settings import Reading, Recipe
from tasks.core.stage import Folder
from tasks.load import source_files
from tasks.set_aside import add_aside, described, require_some, set_aside_before, told
from tasks.staged import log, stage_task, staged


@stage_task("reformat")
def reformat_rows(raw: Folder, base: ModelRef, recipe: Recipe) -> Folder:
    """facts: read (source rows), rows, set_aside and their reasons, form."""
    data, reading, prompts_only = recipe.data, recipe.reading, recipe.on_policy is not None

    def make(folder: Path) -> dict[str, Any]:
        tokenizer = load_tokenizer(base)
        reader = forms.reader([], raw.facts["source"], raw.facts["slug"])
        how = reformat.How.of(recipe.reformat, prompts_only)
        source, target = folder / "rewritten.parquet", folder / "rows.parquet"
        facts = rewrite.rewrite(source_files(raw, data), reader, how, folder, reading.max_rows)
        placeholders.require_filled(facts["placeholders"], data.path, how.placeholders)
        target.rename(source)
        render.require_renders(tokenizer, rows_file.spread_over(source, 100), str(base))
        add_aside(folder, render.measure_file(source, target, tokenizer, reading.max_length))
        source.unlink()
        require_some(folder, data.path, facts["read"])
        return described(folder) | {"read": facts["read"], "form": how.out(raw.facts["form"])}

    made_from = {"raw": raw.digest, "base": str(base), "prompts_only": prompts_only}
    made_from |= recipe.reformat.model_dump()
    made_from |= reading.model_dump(include={"max_rows", "max_length"})
    modules = (rewrite, render, models, rows_file)
    folder = staged("reformat", made_from, modules, make, ("transformers", "pyarrow"))
    for note in render.tokenizer_notes(load_tokenizer(base)):
        log(f"reformat: {note}")
    return told(folder)


@stage_task("deduplicate")
def drop_repeated(rows: Folder, reading: Reading) -> Folder:
    """Duplicates, near-duplicates and contradictions go before the split: none can leak."""

    def make(folder: Path) -> dict[str, Any]:
        source = rows.path / "rows.parquet"
        keep, aside = duplicates.repeated_rows(source, reading.near_duplicates)
        rows_file.copy_rows(source, folder / "rows.parquet", keep, None)
        write_rows(folder / "set_aside.parquet", aside)
        return described(folder) | {"form": rows.facts["form"]}

    made_from = {"rows": rows.digest, "near_duplicates": reading.near_duplicates}
    folder = staged("deduplicate", made_from, (duplicates, rows_file), make, ("polars", "rensa"))
    return told(folder)


@stage_task("split")
def split_prompts(rows: Folder, earlier: list[Folder], recipe: Recipe) -> Folder:
    """By prompt; the recipe's own questions are always held out. `earlier` set rows aside."""
    settings, held_out = recipe.splits.model_dump(), list(recipe.evaluation.questions)

    def make(folder: Path) -> dict[str, Any]:
        source, target = rows.path / "rows.parquet", folder / "rows.parquet"
        try:
            counts, aside = split.split_file(source, target, held_out=held_out, **settings)
        except InputError as error:
            raise InputError(f"{error}{set_aside_before(earlier)}") from error
        write_rows(folder / "set_aside.parquet", aside)
        return described(folder) | {"form": rows.facts["form"]} | counts

    made_from = {"rows": rows.digest, "held_out": held_out, **settings}
    folder = staged("split", made_from, (split, rows_file), make)
    return told(folder)
