"""A recipe before it runs: what it reads, makes and releases, and all that speaks against it.

in   a recipe; the Hub, this machine and the work folder, which are looked at and not written to
out  Plan; one look that fails hides none of the others. Only small files are fetched, into the
     client's own cache: the base's tokenizer and configuration, the first rows of the data
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from tasks.core import approval, first_rows, kept_estimates, room, standing, tracking, unchanged
from tasks.core.approval import Asked
from tasks.core.errors import InputError
from tasks.core.estimate import padded
from tasks.core.first_rows import First
from tasks.core.hub import (
    LOOPBACK,
    endpoint,
    hub_errors,
    require_own_hub,
)
from tasks.core.known_data import UNKNOWN, Known, prompts_of, sides
from tasks.core.looks import Looks
from tasks.core.machine import Effective, effective
from tasks.core.models import MODEL_FILES, load_tokenizer_at
from tasks.core.publish import (
    last_complete,
    preflight,
    repositories,
    require_private,
    version_ahead,
)
from tasks.core.questions import read_identity_questions, read_questions, read_text
from tasks.core.rehearsed import longest_of
from tasks.core.render import require_chat_template
from tasks.core.room import Model, Need
from tasks.core.settings import Recipe
from tasks.core.sources import files_of, is_file
from tasks.core.staging import branch_of
from tasks.core.standing import Standing
from tasks.core.starting import Source, look_at_licences, look_at_sources
from tasks.core.user import whoami

ONE_A_LINE = ("other_questions", "harmless_questions", "harmful_questions")


class Plan(BaseModel):
    model_config = ConfigDict(frozen=True)

    hub: str
    repository: str
    user: str
    repositories: tuple[Standing, ...]
    version: str  # in words: it hangs on the content where that version stands already
    digest: str  # unchanged.digest_of; empty where an input is not there yet
    unchanged: str  # the version that holds this very release already, or nothing
    private: tuple[str, ...]  # why the release would be private
    asks: str  # whom a run would ask before anything is released, or nothing
    sources: tuple[Source, ...]
    data: First | None
    pairs: dict[str, int]  # of each split, at most
    parameters: int | None
    trainable: int | None
    room: tuple[Need, ...]
    estimate: tuple[str, ...]
    finished: tuple[str, ...] = ()  # stages that stand whole; who runs the DAG can tell
    next_stage: str | None = None  # the first that does not
    notes: tuple[str, ...]
    refusals: tuple[str, ...]


def look(recipe: Recipe, run: str = "") -> Plan:
    """Raises nothing for what is wrong with the recipe, the Hub or the machine: Plan.refusals.

    `run`: the one that looks, whose own question and release branches are no news to it.
    """
    looks, notes = Looks(), list[str]()
    _look_at_files(recipe, looks)
    machine = looks.at(effective, recipe.machine, False)
    named, me = recipe.release.repository, looks.hub(whoami)
    user = me.name if me else ""
    repository = looks.hub(preflight, named, me) if me else None
    full = repository or (named if "/" in named or not user else f"{user}/{named}")
    found = (looks.hub(standing.look_at, full, user) if me else None) or ()
    tagged = standing.versions_in(found)
    version = looks.hub(version_ahead, full, tagged, recipe.release.version) if found else None
    asked = [one for _, one in approval.waiting(room.work_place() / "runs", full)]
    notes += standing.notes_on(_without_asked(found, asked))
    notes += [approval.told(one) for one in asked if one.run != run]
    for one in found:
        looks.at(standing.require_room, one)
    sources = look_at_sources(recipe, looks)
    base, data = sources[0], sources[1]
    private = look_at_licences(recipe, sources, looks, notes)
    for target in repositories(full) if private and found else ():
        looks.hub(require_private, target)
    folder = looks.hub(_small_files, base) if base.revision else None
    tokenizer = looks.at(_tokenizer, folder, base.name) if folder else None
    first = None
    if tokenizer is not None and data.revision:
        first = looks.hub(first_rows.first_rows, recipe, data, tokenizer, base.name)
    model = looks.at(room.without_weights_at, folder, base.name, recipe.lora) if folder else None
    needs: tuple[Need, ...] = ()
    if model is not None and machine is not None:
        needs = _room(recipe, machine, model, sources, first)
        notes += [
            f"{need.place}: {need.needed / 1e9:.1f} GB may be needed, and "
            f"{(need.free or 0) / 1e9:.1f} GB are free."
            for need in needs
            if need.is_short
        ]
    there = all(one.revision for one in sources)  # else the run itself makes it, or it is refused
    digest = looks.hub(unchanged.digest_of, recipe) if there else None
    last = looks.hub(last_complete, full, tagged) if digest else None
    kept = kept_estimates.kept(room.work_place(), recipe)
    return Plan(
        hub=endpoint(),
        repository=full,
        user=user,
        repositories=tuple(found),
        version=version or "",
        digest=digest or "",
        unchanged=str(last[1]["version"]) if last and last[1].get("digest") == digest else "",
        private=tuple(private),
        asks=approval.asks(recipe.release),
        sources=tuple(sources),
        data=first,
        pairs=_pairs(recipe, first),
        parameters=model and model.parameters,
        trainable=model and model.trainable,
        room=needs,
        estimate=(f"measured on {kept.date}", *kept.lines) if kept else (),
        notes=tuple(notes),
        refusals=tuple(looks.refusals),
    )


def require(plan: Plan) -> None:
    """Raises InputError with everything that would refuse the run."""
    if len(plan.refusals) == 1:
        raise InputError(plan.refusals[0])
    if plan.refusals:
        listed = "\n".join(f"  - {one}" for one in plan.refusals)
        raise InputError(f"{len(plan.refusals)} things would stop this run:\n{listed}")


def _without_asked(found: tuple[Standing, ...], asked: list[Asked]) -> tuple[Standing, ...]:
    """A branch that waits for an answer is not left over."""
    waiting = {(place.repo, branch_of(one.version)) for one in asked for place in one.placed}
    return tuple(
        one.model_copy(
            update={"begun": tuple(name for name in one.begun if (one.repo, name) not in waiting)}
        )
        for one in found
    )


def _look_at_files(recipe: Recipe, looks: Looks) -> None:
    asked = recipe.evaluation
    if recipe.rehearsal:
        looks.at(require_own_hub, "rehearsal: true")
    if is_file(recipe.data.path):
        looks.at(files_of, recipe.data.path)
    for name in ONE_A_LINE:
        looks.at(read_questions, getattr(asked, name), f"evaluation.{name}")
    looks.at(read_identity_questions, asked.identity_questions)
    looks.at(read_text, asked.text, "evaluation.text")
    looks.at(tracking.require, recipe.tracking)


def _small_files(base: Source) -> Path:
    """The base's files without its weights."""
    from huggingface_hub import snapshot_download

    small = [pattern for pattern in MODEL_FILES if pattern != "*.safetensors"]
    with hub_errors(f"base.model {base.name}@{base.revision[:8]}"):
        folder = snapshot_download(base.name, revision=base.revision, allow_patterns=small)
    return Path(folder)


def _tokenizer(folder: Path, name: str) -> Any:
    with room.named(folder, name):
        tokenizer = load_tokenizer_at(folder)
    require_chat_template(tokenizer, name)
    return tokenizer


def _pairs(recipe: Recipe, first: First | None) -> dict[str, int]:
    split = prompts_of(recipe, first.total if first else None)
    if split.train is None:
        return {}
    each = sides(recipe)
    return {
        "train": split.train * each,
        "validation": split.validation * each,
        "test": split.test * each,
    }


def _room(
    recipe: Recipe,
    machine: Effective,
    model: Model,
    sources: list[Source],
    first: First | None,
) -> tuple[Need, ...]:
    known = UNKNOWN
    if first is not None and first.tokens:
        together = recipe.batch.per_device_train_batch_size
        longest = longest_of(list(first.tokens), together)
        known = Known(first.total, first.mean, longest=longest)
    fetched = {one.name: one.to_fetch for one in sources if one.what != "data"}
    weights = sources[0].bytes
    here = urlsplit(endpoint()).hostname in LOOPBACK
    written = room.disk(model, recipe, weights, sources[1].bytes, here=here)
    where, free = room.free_memory(machine)
    taken = room.memory(model, recipe, machine, padded(known, recipe))
    return (*room.on_disks(fetched, written), Need(place=where, parts=taken, free=free))
