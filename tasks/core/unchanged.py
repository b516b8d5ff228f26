"""Is it the release that stands already? One digest over all that a release would be made from.

in   a recipe; the Hub for the commits that its names stand for now; our own sources
out  sha256: equal to the last release's means that nothing has to be made, sent or tagged

Nothing is downloaded but names and commits. The last release is no input, although a gate may
compare with it: the gate decides whether a release goes out, and not what is in it.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

from tasks.core.errors import InputError
from tasks.core.hub_data import resolve_data
from tasks.core.models import resolve_model
from tasks.core.published_recipe import HOW_AND_WHERE
from tasks.core.questions import read_text
from tasks.core.recipes import FILES, QUESTIONS
from tasks.core.settings import Recipe
from tasks.core.sources import files_of, is_file
from tasks.core.stage import content_digest, file_digest, source_digest

# Each makes what a release holds; what else they import of ours belongs to it.
STAGES = (
    *("load", "reformat", "curate", "account", "validate"),
    *("train", "evaluate", "gate", "merge", "publish"),
)
# How a stage is told and asked about: another word there is no other release.
TOLD_BY = ("tasks/staged.py", "tasks/story.py", "tasks/references.py")
PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "tokenizers", "safetensors")
TEMPLATES = Path(__file__).parents[1] / "templates"
# What may change without another byte in what is published. A revision is no more than a name: the
# commit that it stands for is an input.
IDLE: dict[str, Any] = {
    "base": {"revision"},
    "data": {"revision"},
    "on_policy": {"judge": {"reward_revision"}},
    "release": {*HOW_AND_WHERE},
}


def digest_of(recipe: Recipe) -> str:
    """release_digest as it is here and now."""
    return release_digest(recipe, inputs_of(recipe), stage_sources(), packages_that_count())


def release_digest(
    recipe: Recipe, inputs: Mapping[str, str], sources: str, packages: Mapping[str, str]
) -> str:
    """`inputs` of inputs_of, `sources` of stage_sources, `packages`: name -> version."""
    parts = {
        "inputs": dict(inputs),
        "settings": settings_that_count(recipe),
        "sources": sources,
        "packages": dict(packages),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def inputs_of(recipe: Recipe) -> dict[str, str]:
    """What each name in the recipe stands for now: a commit, or the sha256 of a local file.

    Raises InputError for what is not there, HubUnavailable where the Hub does not answer.
    """
    found = {"base": base_commit(recipe), "data": data_commit(recipe)}
    if (reward := reward_commit(recipe)) is not None:
        found["reward_model"] = reward
    return found | files_asked(recipe)


def base_commit(recipe: Recipe) -> str:
    return str(resolve_model(recipe.base.model, recipe.base.revision))


def data_commit(recipe: Recipe) -> str:
    """owner/name@commit, or the sha256 over the local files in the order of their rows."""
    data = recipe.data
    if is_file(data.path):
        return f"sha256:{local_digest(data.path)}"
    return f"{data.path}@{resolve_data(data.path, data.revision)[0]}"


def local_digest(path: str) -> str:
    """Of one file its own sha256, of several the sha256 over theirs."""
    digests = [file_digest(file) for file in files_of(path)]
    whole = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return digests[0] if len(digests) == 1 else whole


def reward_commit(recipe: Recipe) -> str | None:
    how = recipe.on_policy
    if how is None or how.judge.reward_model is None:
        return None
    named = how.judge.reward_model, how.judge.reward_revision
    return str(resolve_model(*named, "on_policy.judge.reward_model"))


def files_asked(recipe: Recipe) -> dict[str, str]:
    """By setting: sha256 of the text that it names, as it is read."""
    named = {f"evaluation.{name}": getattr(recipe.evaluation, name) for name in QUESTIONS}
    texts = {setting: read_text(path, setting) for setting, path in named.items()}
    return {
        setting: f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        for setting, text in texts.items()
        if text is not None
    }


def settings_that_count(recipe: Recipe) -> dict[str, Any]:
    """Local files by their names alone: another folder with the same bytes is the same release."""
    values = recipe.model_dump(mode="json", exclude={"tracking": True, **IDLE})
    for section, key in FILES:
        if (value := values[section][key]) and is_file(value):
            values[section][key] = Path(value).expanduser().name
    return values


def stage_sources() -> str:
    """sha256 over the stages' own sources, which are read and not run: that would take seconds."""
    modules = []
    for name in STAGES:
        spec = find_spec(f"tasks.{name}")
        if spec is None:
            raise InputError(f"tasks/{name}.py: is missing. Install pairpress again.")
        modules.append(module_from_spec(spec))
    text = f"{source_digest(*modules, leave_out=TOLD_BY)} {content_digest(TEMPLATES)}"
    return hashlib.sha256(text.encode()).hexdigest()


def packages_that_count() -> dict[str, str]:
    """Those that compute what is released; the manifest tells of others, too."""
    return {name: version(name) for name in PACKAGES}
