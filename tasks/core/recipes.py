"""prefect.yaml as the recipe book: the same file that `prefect deploy` reads.

in   deployments of release_model, each a recipe by its name; `section.key=value` from a person
out  a checked Recipe; everything wrong with it in one InputError, before anything starts
     https://docs.prefect.io/v3/how-to-guides/deployments/prefect-yaml
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from tasks.core.book import FLOW as FLOW
from tasks.core.book import deployments as deployments
from tasks.core.book import recipe_book as recipe_book
from tasks.core.errors import InputError
from tasks.core.settings import Recipe

# Names that people bring along, where another one stands here.
ELSEWHERE = {
    "warmup_ratio": "it is training.warmup_steps, below 1",
    "max_prompt_length": "it is reading.max_length, of prompt and answer together",
    "alpha": "it is lora.lora_alpha",
    "rank": "it is lora.r",
    "dropout": "it is lora.lora_dropout",
    "use_dora": "LoRA and rsLoRA are all there is",
    "report_to": "TensorBoard files are always written; tracking.wandb_project sends to W&B",
    "save_steps": "it is watch.eval_steps: each evaluation has a checkpoint",
    "logging_steps": "every step is logged",
    "per_device_eval_batch_size": "it is batch.per_device_train_batch_size",
    "load_best_model_at_end": "it always is; watch.metric_for_best_model says which",
    "dtype": "training's is machine.bf16, that of the merged weights merge.dtype",
    "beta": "it is loss.beta",
    "learning_rate": "it is training.learning_rate",
}
QUESTIONS = (
    "other_questions",
    "identity_questions",
    "harmless_questions",
    "harmful_questions",
    "text",
)
FILES = (("data", "path"), *(("evaluation", name) for name in QUESTIONS))


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
    return _with(parameters, changes, name)


def rehearsed_apart(path: Path) -> list[str]:
    """Recipes that differ in more than how they release: `rehearse` needs one of the others."""
    apart: dict[str, str] = {}
    for name, deployment in deployments(path).items():
        settings = {k: v for k, v in (deployment.get("parameters") or {}).items() if k != "release"}
        apart.setdefault(repr(settings), name)
    return list(apart.values())


def _with(values: dict[str, Any], changes: Iterable[str], name: str) -> dict[str, Any]:
    for change in changes:
        place, equals, value = change.partition("=")
        keys = place.split(".")
        if not equals or not all(keys):
            raise InputError(f"change {change!r}: not of the form section.key=value.")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"change {change!r}: the value is not YAML.") from error
        values = _changed(values, keys, parsed, name)
    return values


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
    return checked(parameters_of(name, path, changes), name)


def with_changes(parameters: Mapping[str, Any], changes: Iterable[str], name: str) -> Recipe:
    """The checked recipe of parameters with changes `section.key=value`."""
    return checked(_with(dict(parameters), changes, name), name)


def checked(parameters: Mapping[str, Any], name: str) -> Recipe:
    """Raises InputError that tells every setting that is wrong, each in a sentence."""
    try:
        return Recipe.model_validate(parameters)
    except ValidationError as error:
        told = "; ".join(_told(one) for one in error.errors())
        raise InputError(f"recipe {name!r}: {told}") from error


def _told(error: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        if at := _elsewhere(str(error["loc"][-1])):
            return f"unknown setting {place}: {at}"
        known = ", ".join(_model_at(error["loc"][:-1]).model_fields)
        return f"unknown setting {place}; known there: {known}"
    if error["type"] == "missing":
        return f"{place} is missing"
    told = str(error["msg"]).removeprefix("Value error, ").replace("valid tuple", "valid list")
    if error["type"] == "string_pattern_mismatch":
        field = _model_at(error["loc"][:-1]).model_fields[error["loc"][-1]]
        told += f" ({field.description})"
    value = "" if isinstance(error["input"], dict) else f" = {error['input']!r}"
    return f"{place}{value}: {told[:1].lower()}{told[1:]}" if place else told


def _elsewhere(key: str) -> str | None:
    """Where a setting of TRL, peft or transformers stands here, if it is not where it was given."""
    if key in ELSEWHERE:
        return ELSEWHERE[key]
    places = [place for place in _places(Recipe) if place.rpartition(".")[2] == key]
    return f"it is {' or '.join(places)}" if places else None


def _places(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """Every setting of a recipe by its whole name, as on_policy.sampling.samples."""
    for name, field in model.model_fields.items():
        yield f"{above}{name}"
        if inner := _section(field.annotation):
            yield from _places(inner, f"{above}{name}.")


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section that stands there, perhaps beside null or in a list."""
    choices = getattr(annotation, "__args__", (annotation,))
    found = (one for one in choices if isinstance(one, type) and issubclass(one, BaseModel))
    return next(found, None)


def _model_at(place: tuple[int | str, ...]) -> type[BaseModel]:
    model: type[BaseModel] = Recipe
    for part in place:
        if isinstance(part, int):  # one of a list, whose own annotation named the section
            continue
        model = _section(model.model_fields[part].annotation) or model
    return model


def _beside(parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Files that a recipe names stand beside it, wherever it is run from."""
    moved = dict(parameters)
    for section, key in FILES:
        values = moved.get(section)
        value = values.get(key) if isinstance(values, dict) else None
        if isinstance(value, str) and (folder / value).is_file():
            moved[section] = {**moved[section], key: str(folder / value)}
    return moved
