"""docs/training.md says what the code does: settings with default and name, and all metrics."""

import re

import pytest
from ground import ROOT

from tasks.core.sentences import HELD_OUT, TRAINING
from tasks.core.settings import Batch, Lora, Loss, Machine, Sweep, Tracking, Training, Watch

PAGE = (ROOT / "docs" / "training.md").read_text("utf-8")
SECTIONS = {
    "training": Training,
    "batch": Batch,
    "loss": Loss,
    "lora": Lora,
    "machine": Machine,
    "watch": Watch,
    "sweep": Sweep,
    "tracking": Tracking,
}
SETTINGS = {
    setting: (name, default)
    for setting, name, default in re.findall(
        r"^\| `(\w+\.\w+)` \| (`\w+`|ours) \| (`[^`]+`|empty|none) \|", PAGE, re.MULTILINE
    )
}


def as_written(default: object) -> str:
    """A default as the page has it; a sequence of one value as that value."""
    if isinstance(default, tuple) and len(default) == 1:
        default = default[0]
    return {None: "empty", (): "none"}.get(default, f"`{default}`")  # type: ignore[arg-type]


def rows_of(heading: str) -> dict[str, str]:
    """First cell -> second, of the rows below a heading."""
    below = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `([\w.]+)` \| ([^|]+?) \|", below, re.MULTILINE))


def test_the_page_has_every_setting_in_its_order_and_no_other():
    fields = [
        f"{name}.{field}" for name, section in SECTIONS.items() for field in section.model_fields
    ]
    assert [*SETTINGS] == fields


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_default_on_the_page_is_that_of_the_code(setting):
    section, field = setting.split(".")
    assert SETTINGS[setting][1] == as_written(SECTIONS[section].model_fields[field].default)


@pytest.mark.slow
def test_every_name_on_the_page_is_one_that_trl_transformers_or_peft_knows():
    import inspect
    from dataclasses import fields

    from peft import LoraConfig
    from transformers import BitsAndBytesConfig
    from trl import DPOConfig, ModelConfig

    known = {one.name for kind in (DPOConfig, LoraConfig, ModelConfig) for one in fields(kind)}
    known |= set(inspect.signature(BitsAndBytesConfig).parameters)
    names = {name.strip("`") for name, _ in SETTINGS.values()} - {"ours"}
    assert names - known == set()


def test_the_page_has_every_metric_of_training_with_trls_name():
    found = rows_of("What is watched")
    assert {name: theirs.strip("`") for name, theirs in found.items()} == TRAINING


def test_the_page_has_every_metric_of_the_gate_and_what_it_needs():
    below = PAGE.split("\n## The gate\n")[1].split("\n## ")[0]
    needs = dict(re.findall(r"^\| `(\w+)` \| .* \| ([^|]+?) \|$", below, re.MULTILINE))
    assert [*needs] == [*HELD_OUT]
    for metric, setting in HELD_OUT.items():
        assert not setting or needs[metric] == f"`{setting}`"
