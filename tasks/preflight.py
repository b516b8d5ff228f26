"""Before anything costs: tokens, access, files, base, licences; and whether there is any news."""

import os

from prefect.blocks.system import Secret
from prefect.runtime import flow_run

from tasks.core import merge, plan, unchanged
from tasks.core.earlier import peoples_words
from tasks.core.errors import InputError
from tasks.core.hub import require_own_hub
from tasks.core.models import ModelRef, load_tokenizer, resolve_model
from tasks.core.promoting import remove_branches
from tasks.core.publish import last_manifest, preflight, repositories
from tasks.core.refs import News
from tasks.core.rehearse import require_files
from tasks.core.render import require_chat_template
from tasks.core.safe_weights import require_safe_base
from tasks.core.settings import Base, Lora, Recipe
from tasks.core.settings_page import settings_page
from tasks.core.trainer import require_modules
from tasks.staged import log, passing, stage_task
from tasks.story import markdown

# What speaks with the Hub by hub.retrying tries again by itself; the client's own calls do not all.
RETRIED = {"retries": 2, "retry_delay_seconds": 2, "retry_condition_fn": passing}
SECRETS = {"HF_TOKEN": "hf-token", "HF_WRITE_TOKEN": "hf-write-token"}


@stage_task("access")
def try_access(recipe: Recipe) -> str:
    """Files, token and write access; returns the repository's full name."""
    markdown(
        "settings", "Settings", settings_page(recipe), f"{recipe.base.model} on {recipe.data.path}"
    )
    tokens_from_blocks()
    if recipe.rehearsal:
        require_own_hub("rehearsal: true")
    require_files(recipe)
    return preflight(recipe.release.repository)


@stage_task("preflight")
def try_everything(recipe: Recipe) -> None:
    """What `pairpress plan` looks at: all that would refuse, told at once."""
    found = plan.look(recipe, str(flow_run.id))
    for note in found.notes:
        log(f"preflight: {note}")
    plan.require(found)
    peoples_words(repositories(found.repository))  # a card that cannot be renewed is told now
    log(f"preflight: {found.repository} on {found.hub} as {found.user}, next {found.version}")


def tokens_from_blocks() -> None:
    """From Prefect's Secret blocks into this process, where its environment has no token at all:
    one that is set there may be meant for another Hub than the blocks'."""
    if any(os.environ.get(variable) for variable in SECRETS):
        return
    for variable, block in SECRETS.items():
        try:
            os.environ[variable] = Secret.load(block).get()
        except ValueError:  # there is no such block
            continue


@stage_task("anything new")
def look_for_news(repository: str, recipe: Recipe) -> News:
    """Whether the last release was made from the same inputs, settings and sources."""
    try:
        digest = unchanged.digest_of(recipe)
    except InputError:
        plan.require(plan.look(recipe))  # this and whatever else is wrong, at once
        raise
    last = last_manifest(repository)
    if last is None or last.get("digest") != digest:
        return News(digest=digest, standing=None)
    version = str(last["version"])
    remove_branches(repositories(repository), version)  # of a run that was killed at its very end
    return News(digest=digest, standing=version)


@stage_task("pin base", **RETRIED)
def pin_base(base: Base, lora: Lora) -> ModelRef:
    """The commit to start from; refuses a model without a chat template, or not to be merged."""
    pinned = resolve_model(base.model, base.revision)
    require_safe_base(pinned.repo, pinned.revision)
    require_chat_template(load_tokenizer(pinned), base.model)
    merge.require_mergeable(pinned)
    require_modules(pinned, lora)
    return pinned
