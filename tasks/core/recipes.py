"""prefect.yaml as the recipe book: the same file that `prefect deploy` reads.

in   deployments of release_model, each a recipe by its name; `section.key=value` from a person
out  a checked Recipe; everything wrong with it in one InputError, before anything starts
     https://docs.prefect.io/v3/how-to-guides/deployments/prefect-yaml
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from tasks.core.errors import InputError
from tasks.core.settings import Recipe
from tasks.core.stage import ROOT

# Names that people bring along, where another one stands here.
ELSEWHERE = {
    "warmup_ratio": "it is training.warmup_steps, below 1",
    "max_prompt_length": "it is data.max_length, of prompt and answer together",
    "alpha": "it is lora.lora_alpha",
    "rank": "it is lora.r",
    "dropout": "it is lora.lora_dropout",
    "use_dora": "LoRA and rsLoRA are all there is",
    "report_to": "TensorBoard files are always written; tracking.wandb_project sends to W&B",
    "save_steps": "it is watch.eval_steps: each evaluation has a checkpoint",
    "logging_steps": "every step is logged",
    "per_device_eval_batch_size": "it is training.per_device_train_batch_size",
    "load_best_model_at_end": "it always is; watch.metric_for_best_model says which",
    "dtype": "training's is machine.bf16, that of the merged weights release.dtype",
    "beta": "it is loss.beta",
    "learning_rate": "it is training.learning_rate",
}
FLOW = "flows/release_model.py:release_model"
QUESTIONS = (
    "other_questions",
    "identity_questions",
    "harmless_questions",
    "harmful_questions",
    "text",
)
FILES = (("data", "path"), *(("evaluation", name) for name in QUESTIONS))


def recipe_book(path: Path | None = None) -> Path:
    """The file named, or prefect.yaml here, or the one beside the package."""
    if path is None:
        here = Path("prefect.yaml")
        path = here if here.is_file() else ROOT / "prefect.yaml"
    if not path.is_file():
        raise InputError(
            f"{path}: no such recipe file. Give one of prefect.yaml's form by --recipe."
        )
    return path


def deployments(path: Path) -> dict[str, dict[str, Any]]:
    """Name -> deployment, of those that run release_model."""
    try:
        book = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    listed = book.get("deployments") if isinstance(book, dict) else None
    if not isinstance(listed, list):
        raise InputError(f"{path}: no list `deployments`, so no recipe. See prefect.yaml.")
    recipes = {}
    for one in listed:
        if not isinstance(one, dict) or "name" not in one:
            raise InputError(f"{path}: a deployment without a name: {one!r}. Give it one.")
        if one.get("entrypoint") == FLOW:
            recipes[str(one["name"])] = one
    if not recipes:
        raise InputError(f"{path}: no deployment runs {FLOW}, so it holds no recipe.")
    return recipes


def parameters_of(name: str, path: Path, changes: Iterable[str] = ()) -> dict[str, Any]:
    """A recipe's parameters as Prefect would store them, with changes `section.key=value`."""
    known = deployments(path)
    if name not in known:
        raise InputError(f"recipe {name!r} is not in {path}. It has: {', '.join(sorted(known))}.")
    written = known[name].get("parameters") or {}
    if not isinstance(written, dict):
        raise InputError(f"{path}: parameters of {name!r} are {written!r}, not sections.")
    parameters: dict[str, Any] = dict(written)
    if path.resolve().parent != Path.cwd():
        parameters = _beside(parameters, path.resolve().parent)
    for change in changes:
        place, equals, value = change.partition("=")
        keys = place.split(".")
        if not equals or not all(keys):
            raise InputError(f"--set {change}: not of the form section.key=value.")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {change}: the value is not YAML.") from error
        parameters = _changed(parameters, keys, parsed, name)
    return parameters


def _changed(values: dict[str, Any], keys: list[str], value: Any, name: str) -> dict[str, Any]:
    """A copy with one value set: `checks.change.S1.purity` reaches as deep as it says."""
    first, *rest = keys
    if not rest:
        return {**values, first: value}
    inner = values.get(first) or {}
    if not isinstance(inner, dict):
        told = f"{first} = {inner!r}: not a section of settings, so it has no {rest[0]}."
        raise InputError(f"recipe {name!r}: {told}")
    return {**values, first: _changed(inner, rest, value, name)}


def read_recipe(name: str, path: Path, changes: Iterable[str] = ()) -> Recipe:
    """The checked recipe. Raises InputError that names every setting that is wrong."""
    try:
        return Recipe.model_validate(parameters_of(name, path, changes))
    except ValidationError as error:
        told = "; ".join(_told(one) for one in error.errors())
        raise InputError(f"recipe {name!r}: {told}") from error


def _told(error: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        if at := _elsewhere(str(error["loc"][-1])):
            return f"unknown setting {place}: {at}"
        known = ", ".join(_fields_at(error["loc"][:-1]))
        return f"unknown setting {place}; known there: {known}"
    if error["type"] == "missing":
        return f"{place} is missing"
    told = str(error["msg"]).removeprefix("Value error, ").replace("valid tuple", "valid list")
    return f"{place} = {error['input']!r}: {told[:1].lower()}{told[1:]}" if place else told


def _elsewhere(key: str) -> str | None:
    """Where a setting of TRL, peft or transformers stands here, if it is not where it was given."""
    sections = [
        section
        for section, field in Recipe.model_fields.items()
        if key in getattr(field.annotation, "model_fields", ())
    ]
    if len(sections) == 1 and key not in ELSEWHERE:
        return f"it is {sections[0]}.{key}"
    return ELSEWHERE.get(key)


def _fields_at(place: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in place:
        if isinstance(part, int):  # one of a list, whose own annotation named the section
            continue
        annotation = model.model_fields[part].annotation
        choices = getattr(annotation, "__args__", (annotation,))
        model = next(one for one in choices if isinstance(one, type) and issubclass(one, BaseModel))
    return list(model.model_fields)


def _beside(parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Files that a recipe names stand beside it, wherever it is run from."""
    moved = dict(parameters)
    for section, key in FILES:
        values = moved.get(section)
        value = values.get(key) if isinstance(values, dict) else None
        if isinstance(value, str) and (folder / value).is_file():
            moved[section] = {**moved[section], key: str(folder / value)}
    return moved
