"""docs/checks.md against the suite: every check stands there with the settings that it has."""

import re
from typing import Any

import pytest
import yaml
from ground import ROOT

from expectations.measures.measure import Measure
from expectations.measures.suite import GIVEN, MEASURES, PROFILES

# Given by the caller, or told beside the settings.
NOT_LISTED = {"severity", *GIVEN}


def table() -> dict[str, list[str]]:
    """check -> cells of its line."""
    page = (ROOT / "docs" / "checks.md").read_text("utf-8")
    lines = re.findall(r"^\| `(\w+)` \|(.*)\|$", page, re.MULTILINE)
    return {check: re.split(r"(?<!\\)\|", cells) for check, cells in lines}


def settings(measure: type[Measure]) -> dict[str, Any]:
    fields = measure.model_fields.items()
    return {
        name: field.default
        for name, field in fields
        if name not in NOT_LISTED and not field.is_required()
    }


def test_the_page_names_every_check_in_the_order_of_a_report() -> None:
    assert list(table()) == [measure.check for measure in MEASURES]


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.check)
def test_the_page_tells_a_check_as_it_is(measure: type[Measure]) -> None:
    _, told, falls, why = table()[measure.check]
    assert yaml.safe_load(told.strip().strip("`")) == settings(measure)
    severity = measure.model_fields["severity"].default
    assert falls.strip() == {"critical": "gate", "warning": "report"}[severity]
    by_profile = {
        profile: yaml.safe_load(change)
        for profile, change in re.findall(r"`(\w+): (\{.*?\})`", why)
    }
    assert by_profile == {
        profile: changes[measure.check]
        for profile, changes in PROFILES.items()
        if measure.check in changes
    }
