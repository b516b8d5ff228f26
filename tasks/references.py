"""Each run keeps what it has made, and a flow by itself goes on from where an earlier one stopped.

in   references as they come into being; the id of an earlier run and changes of settings
out  .pairpress/runs/RUN/references; what the earlier run had, carried over into this one
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from pydantic import BaseModel

from tasks.core import references, staging, trees, unchanged
from tasks.core.errors import InputError
from tasks.core.models import ModelRef
from tasks.core.recipes import checked, with_changes
from tasks.core.refs import Aligned, News, Prepared, Staged
from tasks.core.settings import Recipe
from tasks.core.stage import looking
from tasks.staged import log, run_folder, stage_task

R = TypeVar("R", bound=BaseModel)
# Sections that may change when a flow starts from what an earlier one made: all but those that
# made it.
OPEN = {
    "prepared": (
        *("training", "batch", "loss", "lora", "watch", "sweep", "machine"),
        *("measure", "gate", "merge", "tracking", "release"),
    ),
    "aligned": ("release",),
    "staged": ("release",),
}


class Earlier(NamedTuple):
    """What another run kept; None: it did not come so far."""

    recipe: Recipe
    news: News
    base: ModelRef
    prepared: Prepared
    aligned: Aligned | None = None
    staged: Staged | None = None


def deployed_recipe(name: str, changes: Iterable[str]) -> Recipe:
    """As its deployment has it, from whichever file it was deployed."""
    known = _deployed()
    if name not in known:
        raise InputError(
            f"recipe {name!r}: no deployment release-model/{name} on this server. It has: "
            f"{', '.join(sorted(known)) or 'none'}."
        )
    return with_changes(known[name], changes, name)


def _deployed() -> dict[str, dict[str, Any]]:
    """Name -> parameters of the deployments that are recipes."""
    of_recipes = FlowFilter(name=FlowFilterName(any_=["release-model"]))
    with get_client(sync_client=True) as client:
        return {one.name: one.parameters for one in client.read_deployments(flow_filter=of_recipes)}


def keep(name: str, value: R) -> R:
    """On the way to the next stage, for a run that starts from here."""
    if not looking.get():
        references.write_reference(run_folder(), name, value)
    return value


@stage_task("digest")
def take_digest(recipe: Recipe) -> News:
    """Of inputs, settings and sources as they are now: what look_for_news compares."""
    return News(digest=unchanged.digest_of(recipe), standing=None)


@stage_task("earlier run")
def go_on_from(run: str, name: str, changes: Iterable[str]) -> Earlier:
    """Its references up to `name`, whole; the recipe with what may still change."""
    mine = run_folder()
    earlier = references.run_with(name, run, mine)
    names = list(references.KINDS)[: list(references.KINDS).index(name) + 1]
    kept = {one: references.read_reference(earlier, one) for one in names}
    log(f"starting from run {earlier.name}, which kept {', '.join(kept)}")
    was = kept["recipe"]
    kept["recipe"] = references.changed(was, changes, OPEN[name], references.MADE_BY[name])
    kept["news"] = news_after(kept["news"], was, kept["recipe"])
    tell_changes(kept["recipe"])
    references.carry(earlier, mine, kept)
    return Earlier(**kept)


def tell_changes(recipe: Recipe) -> None:
    """A change that an earlier run was given stays with what it made: nobody is surprised by it."""
    known = {}
    for name, parameters in _deployed().items():
        with suppress(InputError):  # a deployment that an earlier version left on the server
            known[name] = checked(parameters, name)
    if not known:
        return
    name, differ = references.differing(recipe, known)
    told = f"differ from release-model/{name}: {', '.join(differ)}"
    log(f"settings {told if differ else f'are those of release-model/{name}'}")


def news_after(news: News, was: Recipe, recipe: Recipe) -> News:
    """The digest of what this release is made from: none that a later run could have, if inputs or
    sources have changed since the earlier run, so that the next one makes all of it again."""
    now = unchanged.digest_of(was)
    if now == news.digest:
        return News(digest=unchanged.digest_of(recipe), standing=None)
    return News(digest=f"{news.digest[:32]}{now[:32]}", standing=None)


@stage_task("still staged")
def require_branches(staged: Staged) -> None:
    """Nothing that was refused, cleaned away or replaced since is promoted by its commits alone."""
    version = staged.written.version
    branch = staging.branch_of(version)
    for place in staged.placed:
        refs = trees.refs_of(place)
        if version in refs.tags:  # by a run that was killed after it; what stands there is compared
            continue
        if refs.branches.get(branch) != place.commit:
            raise InputError(
                f"{place.repo}: {branch} is not at {place.commit[:8]} any more: refused, cleaned "
                f"away or replaced. Run {references.MADE_BY['staged']} to stage it anew."
            )
