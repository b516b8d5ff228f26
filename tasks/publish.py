"""Preflight before anything costs; then the release's local folders, and its commits and tags."""

from pathlib import Path
from typing import Any

from tasks.core import machine, merge, publish, release, tracking
from tasks.core.hub import require_own_hub
from tasks.core.models import ModelRef, load_tokenizer, resolve_model
from tasks.core.publish import Repository
from tasks.core.questions import questions_of, read_text
from tasks.core.recipes import FILES
from tasks.core.refs import Aligned, Prepared, Staged
from tasks.core.render import injected_system, require_chat_template
from tasks.core.settings import Base, Lora, Recipe
from tasks.core.sources import files_of, is_file
from tasks.core.trainer import require_modules
from tasks.evaluate import read_warnings
from tasks.gate import shown_answers
from tasks.staged import markdown, passing, stage_task, staged

RETRIED = {"retries": 2, "retry_delay_seconds": 2, "retry_condition_fn": passing}


@stage_task("preflight", **RETRIED)
def try_everything(recipe: Recipe) -> str:
    """Files, token and write access, before anything costs; returns the repository's full name."""
    if recipe.rehearsal:
        require_own_hub("rehearsal: true")
    if is_file(recipe.data.path):
        files_of(recipe.data.path)
    questions_of(recipe.evaluation, [], recipe.data.system_prompt)
    read_text(recipe.evaluation.text, "evaluation.text")
    tracking.require(recipe.tracking)
    machine.effective(recipe.machine, each_pair_again=False)
    return publish.preflight(recipe.release.repository)


@stage_task("pin base", **RETRIED)
def pin_base(base: Base, lora: Lora) -> ModelRef:
    """The commit to start from; refuses a model without a chat template, or not to be merged."""
    pinned = resolve_model(base.model, base.revision)
    require_chat_template(load_tokenizer(pinned), base.model)
    merge.require_mergeable(pinned)
    require_modules(pinned, lora)
    return pinned


@stage_task("stage release", **RETRIED)
def write_release(
    repository: str, base: ModelRef, prepared: Prepared, aligned: Aligned, recipe: Recipe
) -> Staged:
    chosen = {"training": aligned.recipe.training, "loss": aligned.recipe.loss}
    settings = recipe.model_copy(update=chosen).model_dump(mode="json")
    del settings["tracking"]  # notes are for their writer, and change nothing
    for section, key in FILES:  # a local path is nobody's business: the file's name will do
        if (value := settings[section][key]) and is_file(value):
            settings[section][key] = Path(value).expanduser().name
    for section in ("curation", "on_policy"):  # nor is where a server stands
        if settings[section] and settings[section]["endpoint"]:
            settings[section]["endpoint"]["url"] = "not published"
    known = release.Known(
        base=base,
        raw=prepared.raw,
        account=prepared.account,
        pairs=prepared.pairs,
        adapter=aligned.adapter,
        merged=aligned.merged,
        settings=settings,
        checks=prepared.checks,
        gate=aligned.gate,
        tried=aligned.tried,
        warnings=read_warnings(aligned.before),
        shown=shown_answers(aligned.before, aligned.after),
        metrics={"before": aligned.before.facts, "after": aligned.after.facts},
        injected=injected_system(load_tokenizer(base)),
    )
    targets = publish.repositories(repository)
    version, finished = publish.next_version(repository, known.digest)

    def make(folder: Path) -> dict[str, Any]:
        return dict(release.build_release(folder, known, targets, version))

    # What the cards say beside what the release is known by.
    told = {"gate": known.gate, "tried": known.tried, "warnings": known.warnings}
    told |= {"shown": known.shown}
    made_from = {"release": known.digest, "version": version, "repository": repository, **told}
    folder = staged("release", made_from, (release,), make)
    return Staged(folder=folder, targets=targets, version=version, finished=finished)


@stage_task("publish", **RETRIED)
def publish_part(staged_release: Staged, target: Repository, private: bool) -> Repository:
    """One commit, then the tag; neither if the Hub holds this release already."""
    version = staged_release.version
    if staged_release.finished:
        return publish.published(target, version)
    publish.create(target, private)
    message = f"Release {version}: {target.part}"
    folder = staged_release.folder.path / target.part
    return publish.tag(publish.commit_repository(target, folder, message), version)


@stage_task("release links")
def link_release(released: list[Repository]) -> list[Repository]:
    lines = [
        f"- {one.part}: [{one.repo}]({one.url}) {one.version}, commit {one.commit[:8]}"
        for one in released
    ]
    markdown("release", "Release", "\n".join(lines))
    return released
