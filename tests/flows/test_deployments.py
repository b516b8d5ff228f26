"""prefect.yaml says nothing that Prefect would pass over in silence, nor what it cannot run.

Prefect ignores a key that it does not know, makes nothing of a variable that is not set, and takes
parameters as they are: each becomes a surprise at night. Here each is told by its place.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
import yaml
from ground import ROOT
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from pydantic import BaseModel

from flows.put_automations import put_automations
from tasks.core.errors import InputError
from tasks.core.recipes import deployments, read_recipe
from tasks.core.settings import Recipe

BOOK = ROOT / "prefect.yaml"
TEMPLATE = re.compile(r"\{\{\s*(.*?)\s*\}\}")


def book(text: str | None = None) -> dict[str, Any]:
    return yaml.safe_load(BOOK.read_text() if text is None else text)


def mistakes(read: dict[str, Any]) -> Iterator[str]:
    """All that Prefect would ignore or empty without a word."""
    yield from unknown(read, PrefectYamlModel, "prefect.yaml")
    for one in read["deployments"]:
        place = f"{one.get('entrypoint', '?').partition(':')[2]}/{one.get('name')}"
        yield from unknown(one, DeploymentConfig, place)
        yield from unknown(one.get("work_pool", {}), WorkPoolConfig, f"{place}.work_pool")
        if not isinstance(limit := one.get("concurrency_limit", 1), int):
            yield from unknown(limit, ConcurrencyLimitSpec, f"{place}.concurrency_limit")
            if limit.get("collision_strategy") not in [
                str(s.value) for s in ConcurrencyLimitStrategy
            ]:
                yield f"{place}.concurrency_limit.collision_strategy: {limit}"
        for number, schedule in enumerate(one.get("schedules", [])):
            at = f"{place}.schedules[{number}]"
            yield from unknown(schedule, RawScheduleConfig, at)
            yield from (f"{at}: no {key}" for key in ("slug", "timezone") if key not in schedule)
        for number, trigger in enumerate(one.get("triggers", [])):
            yield from unknown(trigger, DeploymentEventTrigger, f"{place}.triggers[{number}]")
        apart = {key: value for key, value in one.items() if key != "triggers"}
        yield from templates(apart, place)
        for trigger in one.get("triggers", []):
            yield from templates({k: v for k, v in trigger.items() if k != "parameters"}, place)


def test_a_checkout_without_automations_is_told(tmp_path: Path) -> None:
    """It would be a server on which dead runs stay Running."""
    with pytest.raises(InputError, match="Run this from a whole checkout"):
        put_automations(cast(Any, None), tmp_path)


def unknown(given: dict[str, Any], model: type[BaseModel], place: str) -> Iterator[str]:
    fields = model.model_fields
    known = set(fields) | {field.alias for field in fields.values() if field.alias}
    yield from (f"{place}.{key}: Prefect ignores it" for key in given if key not in known)


def templates(value: Any, place: str) -> Iterator[str]:
    """`{{ $NAME }}` of a variable that is not set, and `{{ name }}` that no step fills in."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from templates(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from templates(inner, f"{place}[{number}]")
    elif isinstance(value, str):
        for name in TEMPLATE.findall(value):
            if not (name.startswith("$") and os.environ.get(name[1:])):
                yield f"{place}: {{{{ {name} }}}} becomes nothing"


def test_every_key_is_known_to_prefect_and_no_template_is_empty() -> None:
    assert list(mistakes(book())) == []


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("slug: nightly", "slugg: nightly", ".schedules[0].slugg: Prefect ignores it"),
        ("  concurrency_limit:", "  concurency_limit:", ".concurency_limit: Prefect ignores it"),
        ("collision_strategy: ENQUEUE", "colision: ENQUEUE", ".colision: Prefect ignores it"),
        ("collision_strategy: ENQUEUE", "collision_strategy: QUEUE", "collision_strategy: "),
        ("    expect: [", "    expects: [", ".triggers[0].expects: Prefect ignores it"),
        ("name: local-process", "pool: local-process", ".work_pool.pool: Prefect ignores it"),
        ("new: Deep Qwen", 'new: "{{ $NEW_NAME }}"', "{{ $NEW_NAME }} becomes nothing"),
        ("new: Deep Qwen", 'new: "I am {{name}}"', "[0].new: {{ name }} becomes nothing"),
        ("name: pairpress\n", "nam: pairpress\n", "prefect.yaml.nam: Prefect ignores it"),
    ],
)
def test_what_prefect_would_pass_over_is_told_with_its_place(right, wrong, told) -> None:
    text = BOOK.read_text()
    assert right in text
    assert any(told in one for one in mistakes(book(text.replace(right, wrong))))


def test_no_two_deployments_have_one_name() -> None:
    """`deploy` would let the second replace the first, where they are of the same flow."""
    places = [(one["entrypoint"], one["name"]) for one in book()["deployments"]]
    assert len(set(places)) == len(places)


def flow_of(deployment: dict[str, Any]) -> Any:
    return load_flow_from_entrypoint(str(ROOT / deployment["entrypoint"]))


def test_every_parameter_is_one_that_its_flow_takes_and_takes_so(monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    for one in book()["deployments"]:
        flow, given = flow_of(one), one.get("parameters", {})
        assert set(given) <= set(parameter_schema(flow).properties), one["name"]
        for trigger in one.get("triggers", []):
            assert set(trigger["parameters"]) <= set(parameter_schema(flow).properties)
    for name in deployments(BOOK):
        assert isinstance(read_recipe(name, BOOK), Recipe)


def test_nightly_and_release_are_identity_qwen_but_for_how_and_where_they_release() -> None:
    """Another repository, so that no night publishes what a person has refused."""
    base, nightly, release = (
        read_recipe(name, BOOK) for name in ("identity-qwen", "nightly", "release")
    )
    apart = base.release.model_copy(update={"repository": f"{base.release.repository}-nightly"})
    assert nightly == base.model_copy(update={"release": apart})
    asked = base.release.model_copy(update={"approval": "ui"})
    assert release == base.model_copy(update={"release": asked})


def test_nightly_waits_for_a_person_to_turn_it_on_and_for_the_run_before_it() -> None:
    nightly = deployments(BOOK)["nightly"]
    (schedule,) = nightly["schedules"]
    assert schedule["active"] is False and ZoneInfo(schedule["timezone"])
    assert nightly["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}


def test_the_forms_of_the_parts_and_of_the_check_are_short_and_described() -> None:
    for one in book()["deployments"]:
        if "release_model" in one["entrypoint"]:
            continue
        schema = parameter_schema(flow_of(one)).model_dump()
        assert len(schema["properties"]) <= 6
        for name, field in schema["properties"].items():
            assert field.get("description"), (one["entrypoint"], name)
        for definition in schema.get("definitions", {}).values():
            assert len(definition.get("properties", ())) <= 6
            for name, field in definition.get("properties", {}).items():
                assert field.get("description"), (one["entrypoint"], name)
