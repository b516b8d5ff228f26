"""A finished run -> local folders -> release branches, verified -> main and tags, or a proposal."""

import json
from pathlib import Path
from typing import Any

from tasks.core import (
    audit,
    earlier,
    leaks,
    licences,
    manifest,
    promoting,
    proposing,
    publish,
    release,
    safe_weights,
    staging,
    tokenizer_contract,
)
from tasks.core.models import ModelRef, load_tokenizer, snapshot
from tasks.core.proposing import Proposal
from tasks.core.publish import Repository
from tasks.core.published_recipe import published_settings
from tasks.core.refs import Aligned, News, Prepared, Published, Staged, Written
from tasks.core.release_found import Place
from tasks.core.render import injected_system
from tasks.core.settings import Recipe, Release
from tasks.core.stage import Folder
from tasks.evaluate import read_warnings
from tasks.gate import shown_answers
from tasks.staged import log, passing, run_folder, stage_task, staged
from tasks.story import markdown

RETRIED = {"retries": 2, "retry_delay_seconds": 2, "retry_condition_fn": passing}


@stage_task("write release", **RETRIED)
def write_release(
    repository: str,
    news: News,
    base: ModelRef,
    prepared: Prepared,
    aligned: Aligned,
    recipe: Recipe,
) -> Written:
    """dataset/, adapter/, model/ as they will leave; nothing leaks, the tokenizer is the base's."""
    chosen = {"training": aligned.recipe.training, "loss": aligned.recipe.loss}
    upstreams = licences.of_run(base, prepared.raw, prepared.pairs)
    known = manifest.Known(
        base=base,
        raw=prepared.raw,
        account=prepared.account,
        pairs=prepared.pairs,
        adapter=aligned.adapter,
        merged=aligned.merged,
        settings=published_settings(recipe.model_copy(update=chosen)),
        checks=prepared.checks,
        gate=aligned.gate,
        tried=aligned.tried,
        warnings=read_warnings(aligned.before),
        shown=shown_answers(aligned.before, aligned.after),
        metrics={"before": aligned.before.facts, "after": aligned.after.facts},
        injected=injected_system(load_tokenizer(base)),
        upstreams=upstreams,
        smoke=json.loads((aligned.merged.path / "smoke.json").read_text()),
        changed=earlier.changed_pairs(repository, prepared.pairs),
        digest=news.digest,
    )
    private = recipe.release.private or bool(licences.must_be_private(upstreams))
    licences.require_publishable(upstreams, private, recipe.release.restricted_licence)
    for warning in licences.warnings(upstreams):
        log(f"release: {warning}")
    targets = publish.repositories(repository)
    people = earlier.peoples_words(targets)
    version, finished = publish.next_version(repository, known.content, recipe.release.version)

    spoken = [text for shown in known.shown for text in shown]

    def make(folder: Path) -> dict[str, Any]:
        rows = release.build_release(folder, known, targets, version, people)
        safe_weights.require_safetensors(folder)
        for part in ("adapter", "model"):
            tokenizer_contract.require_same(snapshot(base), folder / part)
        found = leaks.scan(folder, spoken)
        return dict(rows) | {"leaks": found.sentence}

    made_from = {"release": known.content, "version": version, "repository": repository}
    made_from |= known.told | {"people": people}
    folder = staged("release", made_from, (release, leaks, safe_weights, tokenizer_contract), make)
    log(f"release: {folder.facts['leaks']}")
    return Written(
        folder=folder,
        targets=targets,
        version=version,
        content=known.content,
        finished=finished,
        private=private,
        changed=known.changed.sentence if known.changed else "",
    )


@stage_task("stage on branches")
def place_release(written: Written) -> Staged:
    """One commit a repository on release/VERSION; none if the Hub has this content already."""
    if written.finished:
        return Staged(written=written, placed=[])
    placed = staging.stage(
        written.targets,
        written.folder.path,
        written.version,
        written.content,
        written.private,
        messages(written),
    )
    log("\n".join(f"staged {one.repo}: {one.commit[:8]} on {one.head[:8]}" for one in placed))
    return Staged(written=written, placed=placed)


def messages(written: Written) -> dict[str, str]:
    """First line and body of the commits, by part."""
    told = {one.part: f"Release {written.version}: {one.part}" for one in written.targets}
    told["dataset"] += f"\n\n{written.changed}"
    return told


@stage_task("verify release")  # tries again by itself, and nothing comes twice
def verify_release(staged_release: Staged) -> Folder | None:
    """From the staged commits, by a new process with an empty cache; once for the same commits."""
    if not staged_release.placed:
        return None
    places = [
        Place(part=one.part, repo=one.repo, repo_type=one.repo_type, revision=one.commit)
        for one in staged_release.placed
    ]

    def make(folder: Path) -> dict[str, Any]:
        lines = audit.audit_in_new_process(places, lambda line: log(f"verified {line}"))
        (folder / "verified.txt").write_text("\n".join(lines) + "\n")
        return {"verified": len(lines)}

    made_from = {"commits": [place.model_dump() for place in places]}
    folder = staged("verify", made_from, (audit,), make)
    told = (folder.path / "verified.txt").read_text().splitlines()
    listed = "\n".join(f"- {line}" for line in told)
    markdown(
        "verified",
        "Verified from the Hub",
        listed,
        "read back by a new process with an empty cache",
    )
    return folder


@stage_task("propose release")
def propose_release(staged_release: Staged, release: Release) -> list[Proposal]:
    """approval: pull-request asks people in each repository; none otherwise."""
    if release.approval != "pull-request" or not staged_release.placed:
        return []
    written = staged_release.written
    description = f"{written.changed}\n\n{(run_folder() / 'evaluation.md').read_text()}"
    spoken = json.loads((written.folder.path / "model" / "release.json").read_text())["smoke"]
    leaks.require_clean("evaluation.md", description, [json.dumps(spoken, ensure_ascii=False)])
    proposals = proposing.propose(staged_release.placed, written.version, description)
    lines = [
        f"- {one.part}: [{one.repo}#{one.number}]({one.url}), {one.status}" for one in proposals
    ]
    asked = ", ".join(f"{one.repo}#{one.number}" for one in proposals)
    markdown("release", f"{written.version}, proposed", "\n".join(lines), asked)
    return proposals


@stage_task("promote")
def promote_parts(staged_release: Staged) -> list[Repository]:
    """Data set, adapter, merged model: one commit on main each, every path compared, its tag.

    All three mains are looked at before the first is changed.
    """
    written = staged_release.written
    if written.finished:
        return [publish.published(target, written.version) for target in written.targets]
    return promoting.promote_all(staged_release.placed, written.version, messages(written))


@stage_task("release links")
def link_release(staged_release: Staged, released: list[Repository]) -> Published:
    """The release exists: its branches go, and people get their links."""
    promoting.remove_branches(released, staged_release.written.version)
    lines = [
        f"| {one.part} | [{one.repo}]({one.url}) | {one.version} | `{one.commit[:8]}` |"
        for one in released
    ]
    page = "\n".join(["| | repository | version | commit |", "|---|---|---|---|", *lines])
    links = ",<br>".join(f"[{one.repo}]({one.url})" for one in released)
    markdown("release", "Release", page, f"{released[0].version}: {links}")
    return Published(repositories=released)
