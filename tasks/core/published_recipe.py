"""The recipe of a release as anybody may read it, and run again in one command.

in   the recipe, and what it was pinned to
out  settings for release.json and the cards; recipe.yaml, of the form of prefect.yaml
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tasks.core.models import ModelRef
from tasks.core.recipes import FILES, FLOW
from tasks.core.settings import Recipe
from tasks.core.sources import is_file
from tasks.core.stage import ROOT

NAME = "recipe.yaml"
HOW_AND_WHERE = {"version", "private", "approval", "approval_days"}  # of `release`
NOWHERE = "http://not-published.invalid/v1"  # RFC 2606: it answers to nobody


def published_settings(recipe: Recipe) -> dict[str, Any]:
    """A recipe's settings as anybody may read them; they are those of the same recipe again.

    Without its writer's notes, what only says how and where to publish, local paths and the
    address of a server.
    """
    settings = recipe.model_dump(mode="json", exclude={"tracking": True, "release": HOW_AND_WHERE})
    for section, key in FILES:  # a local path is nobody's business: the file's name will do
        if (value := settings[section][key]) and is_file(value) and not comes_along(value):
            settings[section][key] = Path(value).expanduser().name
    for section in ("curation", "on_policy"):
        if settings[section] and settings[section]["endpoint"]:
            settings[section]["endpoint"]["url"] = NOWHERE
    return settings


def comes_along(value: str) -> bool:
    """Whether a setting names a file of the project itself, which whoever runs the recipe has."""
    return not Path(value).is_absolute() and ".." not in value and (ROOT / value).is_file()


def write_recipe(
    path: Path, name: str, settings: Mapping[str, Any], base: ModelRef, raw: Mapping[str, Any]
) -> None:
    """The settings with base model and data at the commits used. A seed makes its own of both."""
    pinned = dict(settings)
    if settings["seed"] is None:
        pinned["base"] = settings["base"] | {"revision": base.revision}
        if of_the_hub(raw):
            pinned["data"] = settings["data"] | {"revision": raw["source_digest"]}
    one = {"name": name, "entrypoint": FLOW, "parameters": pinned}
    text = yaml.safe_dump({"deployments": [one]}, sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")


def of_the_hub(raw: Mapping[str, Any]) -> bool:
    """Whether a source's digest is a commit; that of a file is its sha256."""
    return len(raw["source_digest"]) == 40


def files_beside(settings: Mapping[str, Any], raw: Mapping[str, Any]) -> list[str]:
    """Names of the local files that it takes, which are not published with it."""
    return [
        value
        for section, key in FILES
        if (value := settings[section][key])
        and not (key == "path" and of_the_hub(raw))
        and not comes_along(value)
    ]
