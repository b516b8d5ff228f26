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
from tasks.core.settings import Correction, Data, Endpoint, OnPolicy
from tasks.core.stage import Folder
from tasks.set_aside import told, write_stage
from tasks.staged import run_folder, stage_task, staged

PACKAGES = ("torch", "transformers")
SOURCES = (generate, endpoint, render, models, rows_file)
TITLE = "Answers set aside while curating"


@stage_task("curate")
def curate_pairs(
    rows: Folder, base: ModelRef, corrected: Correction | None, sampled: OnPolicy | None, data: Data
) -> Folder:
    if sampled is not None:
        return told(_sampled(rows, base, sampled, data), TITLE)
    if rows.facts["form"] != "conversations":
        return rows
    if corrected is None:
        raise InputError(
            f"data.path {data.path}: conversations hold no second answer to prefer. "
            "Set curation.renames or on_policy, or give preference pairs."
        )
    return told(_corrected(rows, base, corrected, data), TITLE)


def _corrected(rows: Folder, base: ModelRef, how: Correction, data: Data) -> Folder:
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
        pairs, too_long = render.measure_tokens(pairs, tokenizer, data.max_length)
        aside += too_long
        unsaid = correction.names_not_said(pairs, aside, how.renames)
        settings = "curation.renames and curation.max_new_tokens"
        _require_pairs(pairs, aside, "curation", settings, unsaid)
        correction.require_every_slot(pairs, how.renames)
        return write_stage(folder, pairs, aside) | {"form": "pairs"}

    made_from = _made_from(rows, base, data) | how.model_dump()
    return staged("curate", made_from, (correction, *SOURCES), make, PACKAGES)


def _sampled(rows: Folder, base: ModelRef, how: OnPolicy, data: Data) -> Folder:
    """The best against the worst of several answers; beside them completions.parquet: all."""
    settings = how.model_dump(
        include={"samples", "temperature", "top_p", "seed", "max_new_tokens", "batch_size"}
    )
    kept = {"title": "samples", "journal": _journal("sampled", base, how.endpoint)}
    reward = None
    if how.reward_model is not None:
        asked_for = how.reward_model, how.reward_revision
        reward = resolve_model(*asked_for, "on_policy.reward_model")

    def sample(prompts: list[list[Message]]) -> list[list[Answer]]:
        if how.endpoint is None:
            # Loaded for this call alone, so that one accelerator holds one model at a time.
            model, tokenizer = load_model(base), load_tokenizer(base)
            return generate.sample(model, tokenizer, prompts, **settings, **kept)
        chance = how.model_dump(include={"temperature", "top_p", "seed"})
        asked = {"max_tokens": how.max_new_tokens, **chance}
        return endpoint.ask_endpoint(
            how.endpoint, prompts, samples=how.samples, settings=asked, **kept
        )

    def make(folder: Path) -> dict[str, Any]:
        judge = score_answers.judge(how, reward)  # first: a model that cannot judge is told at once
        tokenizer = load_tokenizer(base)
        pairs, aside, completions = on_policy.on_policy_pairs(
            read_rows(rows.path / "rows.parquet"), sample, judge, how
        )
        pairs, too_long = render.measure_tokens(pairs, tokenizer, data.max_length)
        aside += too_long
        _require_pairs(pairs, aside, "on_policy", "on_policy.max_new_tokens and on_policy.rules")
        on_policy.write_completions(folder / "completions.parquet", completions)
        facts = {"form": "pairs", "completions": len(completions), "judge": str(reward or "rules")}
        return write_stage(folder, pairs, aside) | facts

    made_from = _made_from(rows, base, data) | how.model_dump() | {"reward": str(reward)}
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


def _made_from(rows: Folder, base: ModelRef, data: Data) -> dict[str, Any]:
    return {"rows": rows.digest, "base": str(base), "max_length": data.max_length}


def _journal(kind: str, base: ModelRef, server: Endpoint | None) -> Path:
    """Where the answers of this model, asked here or there, are kept as they come."""
    where = server.model_dump(include={"url", "model"}) if server else {}
    asking, packages = (endpoint, ()) if server else (generate, PACKAGES)
    return answers.journal_path(kind, {"base": str(base), **where}, asking, packages)
