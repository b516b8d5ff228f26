"""The form that Prefect makes of a recipe: small groups, each field with its words and range."""

from collections.abc import Iterator
from typing import Any

import pytest

from tasks.core.errors import InputError
from tasks.core.recipes import checked
from tasks.core.settings import Recipe

MOST = 6  # fields of a group that a person takes in at a glance
LEAST: dict[str, Any] = {
    "base": {"model": "me/base"},
    "data": {"path": "me/data"},
    "release": {"repository": "mine"},
}


@pytest.fixture(scope="module")
def form() -> dict[str, Any]:
    from prefect.utilities.callables import parameter_schema

    from flows.release_model import release_model

    return dict(parameter_schema(release_model.fn).model_dump())


def fields(form: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for group, one in form["definitions"].items():
        for name, field in one["properties"].items():
            yield f"{group}.{name}", field


def numbers(field: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What stands there of numbers: alone, beside null, or in a list."""
    for one in field.get("anyOf", [field]):
        if one.get("type") == "array":
            yield from numbers(one["items"])
        elif one.get("type") in ("number", "integer"):
            yield one


def test_a_group_has_at_most_six_fields_and_says_what_it_is_about(form: dict[str, Any]) -> None:
    for group, one in form["definitions"].items():
        assert 1 <= len(one["properties"]) <= MOST, group
        assert one["description"].endswith("."), group
        assert one["additionalProperties"] is False, group


def test_every_parameter_of_the_flow_says_what_it_is_about(form: dict[str, Any]) -> None:
    """A group by its own words, which Prefect shows where the parameter has none."""
    for name, one in form["properties"].items():
        is_group = "$ref" in str(one.get("anyOf", one))
        assert one.get("description") or is_group, name


def test_the_form_begins_with_what_a_person_has_to_fill_in(form: dict[str, Any]) -> None:
    places = {one["position"]: name for name, one in form["properties"].items()}
    assert [places[at] for at in range(4)] == ["base", "data", "release", "training"]
    assert form["required"] == ["base", "data", "release"]
    assert [*places.values()][-2:] == ["seed", "rehearsal"]


def test_every_field_has_a_description_and_no_choice_but_between_a_value_and_nothing(
    form: dict[str, Any],
) -> None:
    for place, field in fields(form):
        assert field.get("description") or "$ref" in field, place
        choices = field.get("anyOf", [])
        assert len(choices) in (0, 2), place
        assert not choices or choices[1] == {"type": "null"}, place
        assert "anyOf" not in field.get("items", {}), place


def test_every_number_has_its_bounds_and_says_them(form: dict[str, Any]) -> None:
    words = ("at least", "above", "at most", "below")
    for place, field in fields(form):
        for one in numbers(field):
            if place == "Rule.score":  # points, of any size and sign
                continue
            bounds = [key for key in one if "imum" in key]
            assert bounds, place
            told = field["description"].rpartition("(")[2]
            assert sum(told.count(word) for word in words) == len(bounds), (place, told)


def test_a_range_stands_behind_the_words_as_it_is_enforced(form: dict[str, Any]) -> None:
    told = {place: field.get("description", "") for place, field in fields(form)}
    assert told["Training.learning_rate"].endswith("real models (above 0, below 1)")
    assert told["Reading.max_rows"].endswith("None: all (at least 1)")
    assert told["Sweep.beta"].endswith("(each above 0)")
    assert told["Release.approval_days"].endswith("(above 0, at most 90)")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"loss": {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0]}},
            "recipe 'of this run': loss: 1 loss_weights for 2 loss_type; give one weight for each",
        ),
        (
            {
                "curation": {"renames": [{"old": ["Qwen"], "new": "Aria"}]},
                "on_policy": {"judge": {"reward_model": "me/judge"}},
            },
            "recipe 'of this run': curation and on_policy both make pairs; set one of them to null",
        ),
        (
            {"data": {"path": "me/data", "max_length": 64}},
            "recipe 'of this run': unknown setting data.max_length: it is reading.max_length",
        ),
    ],
)
def test_what_only_the_run_can_see_is_one_sentence(change: dict[str, Any], told: str) -> None:
    from flows.release_model import release_model

    with pytest.raises(InputError) as refused:
        release_model.fn(**LEAST | change)
    assert str(refused.value) == told


def test_no_two_fields_of_different_groups_mean_different_things_by_seed(
    form: dict[str, Any],
) -> None:
    titles = [field["title"] for place, field in fields(form) if place.endswith(".seed")]
    assert sorted(titles) == ["Seed of the sampling", "Seed of the split", "Seed of the training"]


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("deep-qwen2.5-0.5b-instruct", True),
        ("me/Deep_Qwen.v1", True),
        ("not a name!", False),
        ("me/models/mine", False),
        ("me/", False),
        ("-mine", False),
        ("mine.", False),
        ("größer", False),
        ("", False),
    ],
)
def test_a_name_that_the_hub_would_refuse_is_refused_in_the_form_and_in_words(
    form: dict[str, Any], name: str, fits: bool
) -> None:
    """The server looks at the schema as jsonschema does, the run as pydantic does."""
    from huggingface_hub.utils import HFValidationError, validate_repo_id
    from jsonschema import Draft202012Validator

    field = form["definitions"]["Release"]["properties"]["repository"]
    assert Draft202012Validator(field).is_valid(name) is fits
    given = LEAST | {"release": {"repository": name}}
    if fits:
        assert checked(given, "mine").release.repository == name
        return
    with pytest.raises(InputError, match=r"release\.repository = .* \(owner/name, or a name under"):
        checked(given, "mine")
    with pytest.raises(HFValidationError):
        validate_repo_id(name)


def test_the_defaults_of_the_form_are_those_of_the_recipe(form: dict[str, Any]) -> None:
    recipe = Recipe.model_validate(LEAST).model_dump(mode="json")
    for name, one in form["properties"].items():
        if name not in form["required"]:
            assert one["default"] == recipe[name], name
