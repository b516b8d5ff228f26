"""Prompts -> pairs from the model's own answers. Ready pairs pass through untouched."""

from pathlib import Path
from typing import Any

from tasks.core import (
    answers,
    correction,
    endpoint,
    generate,
    models,
    on_policy,
    render,
    score_answers,
)
from tasks.core import rows as rows_file
from tasks.core.answers import Answer
from tasks.core.errors import InputError
from tasks.core.fields import Message, Row
from tasks.core.models import ModelRef, load_model, load_tokenizer, resolve_model
from tasks.core.own_answers import require_pairs
from tasks.core.rows import read_rows, write_rows
from tasks.core.settings import Correction, Endpoint, OnPolicy, Recipe
from tasks.core.stage import Folder
from tasks.set_aside import told, write_stage
from tasks.staged import run_folder, stage_task, staged

PACKAGES = ("torch", "transformers")
SOURCES = (generate, endpoint, render, models, rows_file)


@stage_task("curate")
def curate_pairs(rows: Folder, base: ModelRef, recipe: Recipe) -> Folder:
    longest = recipe.reading.max_length
    if recipe.on_policy is not None:
        return told(_sampled(rows, base, recipe.on_policy, longest))
    if rows.facts["form"] != "conversations":
        return rows
    if recipe.curation is None:
        raise InputError(
            f"data.path {recipe.data.path}: conversations hold no second answer to prefer. "
            "Set curation.renames or on_policy, or give preference pairs."
        )
    return told(_corrected(rows, base, recipe.curation, longest))


def _corrected(rows: Folder, base: ModelRef, how: Correction, longest: int) -> Folder:
    """Pairs in which only the names of `how.renames` differ, with their edits."""
    settings = how.model_dump(include={"max_new_tokens", "batch_size"})
    kept = {"title": "own answers", "journal": _journal("greedy", base, how.endpoint)}

    def ask(prompts: list[list[Message]]) -> list[Answer]:
        if how.endpoint is None:
            return generate.generate(
                load_model(base), load_tokenizer(base), prompts, **settings, **kept
            )
        greedy = {"max_tokens": how.max_new_tokens, "temperature": 0.0}
        found = endpoint.ask_endpoint(how.endpoint, prompts, samples=1, settings=greedy, **kept)
        return [answers[0] for answers in found]

    def make(folder: Path) -> dict[str, Any]:
        tokenizer = load_tokenizer(base)
        pairs, aside = correction.correction_pairs(
            read_rows(rows.path / "rows.parquet"), ask, how.renames
        )
        pairs, too_long = render.measure_tokens(pairs, tokenizer, longest)
        aside += too_long
        unsaid = correction.names_not_said(pairs, aside, how.renames)
        settings = "curation.renames and curation.max_new_tokens"
        _require_pairs(pairs, aside, "curation", settings, unsaid)
        correction.require_every_slot(pairs, how.renames)
        return write_stage(folder, pairs, aside) | {"form": "pairs"}

    made_from = _made_from(rows, base, longest) | how.model_dump()
    return staged("curate", made_from, (correction, *SOURCES), make, PACKAGES)


def _sampled(rows: Folder, base: ModelRef, how: OnPolicy, longest: int) -> Folder:
    """The best against the worst of several answers; beside them completions.parquet: all."""
    asked, settings = how.sampling, how.sampling.model_dump()
    kept = {"title": "samples", "journal": _journal("sampled", base, how.endpoint)}
    reward = None
    if how.judge.reward_model is not None:
        named = how.judge.reward_model, how.judge.reward_revision
        reward = resolve_model(*named, "on_policy.judge.reward_model")

    def sample(prompts: list[list[Message]]) -> list[list[Answer]]:
        if how.endpoint is None:
            # Loaded for this call alone, so that one accelerator holds one model at a time.
            model, tokenizer = load_model(base), load_tokenizer(base)
            return generate.sample(model, tokenizer, prompts, **settings, **kept)
        drawn = asked.model_dump(include={"temperature", "top_p", "seed"})
        drawn |= {"max_tokens": asked.max_new_tokens}
        return endpoint.ask_endpoint(
            how.endpoint, prompts, samples=asked.samples, settings=drawn, **kept
        )

    def make(folder: Path) -> dict[str, Any]:
        # First: a model that cannot judge is told at once.
        judge = score_answers.judge(how.judge, reward, asked.batch_size)
        tokenizer = load_tokenizer(base)
        pairs, aside, completions = on_policy.on_policy_pairs(
            read_rows(rows.path / "rows.parquet"), sample, judge, how.judge
        )
        pairs, too_long = render.measure_tokens(pairs, tokenizer, longest)
        aside += too_long
        settings = "on_policy.sampling.max_new_tokens and on_policy.judge.rules"
        _require_pairs(pairs, aside, "on_policy", settings)
        on_policy.write_completions(folder / "completions.parquet", completions)
        facts = {"form": "pairs", "completions": len(completions), "judge": str(reward or "rules")}
        return write_stage(folder, pairs, aside) | facts

    made_from = _made_from(rows, base, longest) | how.model_dump() | {"reward": str(reward)}
    sources = (on_policy, score_answers, *SOURCES)
    return staged("curate", made_from, sources, make, PACKAGES)


def _require_pairs(
    pairs: list[Row], aside: list[Row], section: str, settings: str, more: str = ""
) -> None:
    """Where nothing can be trained, a person still sees what became of each answer."""
    try:
        require_pairs(pairs, aside, section, settings, more)
    except InputError as error:
        place = run_folder() / "set-aside-by-curate.parquet"
        write_rows(place, aside)
        raise InputError(f"{error} What became of each answer: {place}.") from error


def _made_from(rows: Folder, base: ModelRef, longest: int) -> dict[str, Any]:
    return {"rows": rows.digest, "base": str(base), "max_length": longest}


def _journal(kind: str, base: ModelRef, server: Endpoint | None) -> Path:
    """Where the answers of this model, asked here or there, are kept as they come."""
    where = server.model_dump(include={"url", "model"}) if server else {}
    asking, packages = (endpoint, ()) if server else (generate, PACKAGES)
    return answers.journal_path(kind, {"base": str(base), **where}, asking, packages)
