"""docs/forms.md says what the code does: every form, and what each example becomes."""

import csv
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from ground import ROOT

from tasks.core.as_pairs import as_pairs
from tasks.core.blocks import read_blocks, values_of
from tasks.core.fields import Row
from tasks.core.forms import Loaded, Reader, reader
from tasks.core.reformat import How, aside_of_faults, rewrite_row
from tasks.core.rewrite import rewrite
from tasks.core.rows import read_rows
from tasks.core.settings import FormName, Reformat

PAGE = (ROOT / "docs" / "forms.md").read_text("utf-8")
SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
EXAMPLES = [
    (section.partition("\n")[0], *example.splitlines())
    for section in SECTIONS
    for example in re.findall(r"```json\n(.*?)\n```", section, re.DOTALL)
]
BECOMES = dict(
    re.findall(r"^\| \[`([\w-]+)`\]\(#\1\) \|.*\| (prompts|pairs) \|$", PAGE, re.MULTILINE)
)


def test_the_page_has_a_line_a_section_and_an_example_of_every_form() -> None:
    assert [*BECOMES] == [*get_args(FormName)]
    assert [*dict.fromkeys(name for name, *_ in EXAMPLES)] == [*BECOMES]
    assert [section.partition("\n")[0] for section in SECTIONS][: len(BECOMES)] == [*BECOMES]


@pytest.mark.parametrize(("name", "published", "becomes"), EXAMPLES)
def test_an_example_is_told_by_itself_and_becomes_what_the_page_says(
    name: Any, published: str, becomes: str
) -> None:
    value = json.loads(published)
    texts_alone = name == "implicit-prompt" and isinstance(value["chosen"], str)
    told = reader([(1, value)], "rows", name if texts_alone else None)
    assert told.slug == name
    form, row, faults = told.read(value)
    assert faults == []
    made = assert_becomes(form, row, becomes)
    assert ("chosen" in made) == (BECOMES[name] == "pairs")


def assert_becomes(form: Any, row: Row, becomes: str) -> Row:
    """The page leaves out scores where there are none."""
    (made,), aside = rewrite_row(form, {"row": 1} | row, How.of(Reformat()))
    told = {"score_chosen": None, "score_rejected": None} if "chosen" in made else {}
    assert aside == [] and made == {"row": 1} | told | json.loads(becomes)
    return made


@pytest.mark.parametrize(
    ("name", "published", "becomes"), [one for one in EXAMPLES if one[1].startswith("{")]
)
def test_an_example_becomes_the_same_from_a_csv_file(
    tmp_path: Path, name: Any, published: str, becomes: str
) -> None:
    value = json.loads(published)
    cells = [one if isinstance(one, str) else json.dumps(one) for one in value.values()]
    path = tmp_path / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[*value], cells])
    rows = [row for block in read_blocks(path) for row in values_of(block)]
    texts_alone = name == "implicit-prompt" and isinstance(value["chosen"], str)
    told = reader(rows, "rows", name if texts_alone else None)
    form, row, faults = told.read(rows[0][1])
    assert (told.slug, faults) == (name, [])
    assert_becomes(form, row, becomes)
    rewrite([(path.name, path)], reader([], "rows", name), How.of(Reformat()), tmp_path)
    (written,) = read_rows(tmp_path / "rows.parquet")
    assert written == {key: None for key in written} | {"row": 1} | json.loads(becomes)


@pytest.mark.parametrize(("name", "published", "becomes"), EXAMPLES)
def test_an_example_becomes_the_same_where_its_form_is_set(
    name: Any, published: str, becomes: str
) -> None:
    for sample in ([(1, json.loads(published))], []):
        form, row, faults = reader(sample, "rows", name).read(json.loads(published))
        assert faults == []
        assert_becomes(form, row, becomes)


JUNK: list[Any] = [None, True, 7, float("nan"), 1e400, "", "text", "[", '["a"]', [], [7], {}, [[]]]
JUNK += [[{"role": "tool", "content": "x"}], [{"role": "user"}], {"role": [], "content": {}}]


@pytest.mark.parametrize(("name", "published", "_"), EXAMPLES)
def test_whatever_stands_in_a_column_a_row_is_used_or_set_aside(
    name: Any, published: str, _: str
) -> None:
    value = json.loads(published)
    places = [*value] if isinstance(value, dict) else [*range(len(value))]
    changes = [(place, junk) for place in places for junk in JUNK]
    for told in (reader([(1, value)], "rows", name), reader([], "rows", name)):
        for place, junk in changes:
            other = value.copy()
            other[place] = junk
            assert_used_or_set_aside(told, other)
        for junk in JUNK:
            assert_used_or_set_aside(told, junk)


def assert_used_or_set_aside(told: Reader, value: Any) -> None:
    form, row, faults = told.read(value)
    if faults:
        assert aside_of_faults(1, faults)["code"] in ("damaged", "turn-order")
        as_pairs(
            Loaded(
                form, "", [], [{"row": 1} | one for one in faults], {1: (form, row | {"row": 1})}
            )
        )
        return
    for said in ({}, {"turns": "every", "system": "drop", "placeholders": {"name": "A"}}):
        how = How.of(Reformat(**said))
        made, aside = rewrite_row(form, {"row": 1} | row, how)
        assert bool(made) != bool(aside) and len(aside) < 2
        as_pairs(Loaded(form, "", [{"row": 1} | row], []))
