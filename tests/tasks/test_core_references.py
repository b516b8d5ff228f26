"""What a run keeps for the next flow: found by run or as the latest, refused in words otherwise."""

import os
import re
import time
from pathlib import Path

import pytest
from ground import ROOT

from tasks.core.errors import InputError
from tasks.core.references import (
    carry,
    changed,
    differing,
    folders_of,
    read_reference,
    run_with,
    write_reference,
)
from tasks.core.refs import News, Prepared
from tasks.core.settings import Recipe
from tasks.core.stage import Folder

STAGES = ("raw", "account", "prompts", "pairs", "checks")
OPEN = ("training", "release")


def recipe(**more: object) -> Recipe:
    least = {"base": {"model": "me/base"}, "data": {"path": "me/data"}}
    return Recipe.model_validate(least | {"release": {"repository": "mine"}} | more)


def prepared(folder: Path) -> Prepared:
    made = {}
    for stage in STAGES:
        (path := folder / stage).mkdir(parents=True)
        (path / "done.json").write_text("{}")
        made[stage] = Folder(stage=stage, path=path, digest="0" * 64, facts={"rows": 3})
    return Prepared(**made)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Runs `old` and `new` that prepared data, and `mine`, which has begun."""
    for age, name in enumerate(("new", "old")):
        run = tmp_path / "runs" / name
        write_reference(run, "prepared", prepared(tmp_path / "stages" / name))
        write_reference(run, "recipe", recipe())
        os.utime(run / "references" / "prepared.json", (1e9 - age, 1e9 - age))
    (tmp_path / "runs" / "mine").mkdir()
    return tmp_path / "runs"


def refusal(name: str, run: str, runs: Path) -> str:
    with pytest.raises(InputError) as refused:
        run_with(name, run, runs / "mine")
    return str(refused.value)


def test_what_is_written_is_read_again(runs: Path) -> None:
    found = read_reference(runs / "new", "prepared")
    assert found == prepared(runs.parent / "elsewhere").model_copy(
        update={stage: getattr(found, stage) for stage in STAGES}
    )
    assert [one.facts for one in folders_of(found)] == [{"rows": 3}] * len(STAGES)
    assert read_reference(runs / "new", "recipe") == recipe()


def test_latest_is_the_newest_that_has_it_and_stays_so_when_the_run_begins_again(
    runs: Path,
) -> None:
    assert run_with("prepared", "latest", runs / "mine").name == "new"
    write_reference(runs / "newer", "prepared", read_reference(runs / "old", "prepared"))
    assert run_with("prepared", "latest", runs / "mine").name == "new"
    (runs / "another").mkdir()
    assert run_with("prepared", "latest", runs / "another").name == "newer"


def test_latest_made_it_and_what_only_went_on_from_there_is_found_by_its_name(runs: Path) -> None:
    """Changes that were tried once and refused are not taken up again by the next run."""
    tried = recipe(release={"repository": "me/other"})
    kept = {"recipe": tried, "prepared": read_reference(runs / "new", "prepared")}
    (runs / "tried").mkdir()
    assert run_with("prepared", "new", runs / "tried").name == "new"
    carry(runs / "new", runs / "tried", kept)
    assert run_with("prepared", "latest", runs / "mine").name == "new"
    (runs / "another").mkdir()
    named = run_with("prepared", "tried", runs / "another")
    assert read_reference(named, "recipe") == tried


def test_what_a_run_makes_counts_as_the_latest_though_it_began_with_what_another_made(
    runs: Path,
) -> None:
    (runs / "tried").mkdir()
    carry(runs / "old", runs / "tried", {"prepared": read_reference(runs / "old", "prepared")})
    write_reference(runs / "tried", "news", News(digest="d", standing=None))
    assert run_with("news", "latest", runs / "mine").name == "tried"


def test_a_run_that_begins_again_is_not_the_latest_for_that(runs: Path) -> None:
    """As after the answer no: the whole run goes through its finished stages once more."""
    write_reference(runs / "old", "prepared", read_reference(runs / "old", "prepared"))
    assert run_with("prepared", "latest", runs / "mine").name == "new"
    assert (runs / "old" / "references" / "recipe.json").stat().st_mtime > time.time() - 3600


def test_a_recipe_is_what_its_deployment_has_and_an_unknown_one_is_told(monkeypatch) -> None:
    from tasks import references

    deployed = {"mine": recipe(training={"max_steps": 9}).model_dump(mode="json")}
    monkeypatch.setattr(references, "_deployed", lambda: deployed)
    made = references.deployed_recipe("mine", ["loss.beta=0.3"])
    assert made == recipe(training={"max_steps": 9}, loss={"beta": 0.3})
    with pytest.raises(InputError, match=r"no deployment release-model/nope .* It has: mine\."):
        references.deployed_recipe("nope", [])


def test_settings_are_told_beside_the_nearest_recipe() -> None:
    known = {
        "far": recipe(base={"model": "you/base"}, loss={"beta": 0.3}),
        "near": recipe(
            training={"max_steps": 9}, checks={"change": {"L2": {"severity": "warning"}}}
        ),
    }
    assert differing(known["near"], known) == ("near", [])
    mine = recipe(training={"max_steps": 7}, checks={"change": {"S1": None}})
    told = ["training.max_steps=7", "checks.change.S1=null", "checks.change.L2 not set"]
    name, differ = differing(mine, known)
    assert name == "near" and sorted(differ) == sorted(told)


def test_the_link_to_the_latest_release_is_no_run_of_its_own(runs: Path) -> None:
    (runs / "latest").symlink_to("old")
    assert run_with("prepared", "latest", runs / "mine").name == "new"


def test_a_run_without_what_is_needed_is_told_with_what_to_run(runs: Path) -> None:
    assert "no run made 'aligned' here. Run align-model/alone first" in refusal(
        "aligned", "latest", runs
    )
    assert "run old: kept recipe, prepared, not what this flow starts from (aligned)" in refusal(
        "aligned", "old", runs
    )
    assert "run 'nope': not in " in refusal("prepared", "nope", runs)
    assert "run '../runs': not in " in refusal("prepared", "../runs", runs)


def test_a_deleted_stage_is_named_with_what_makes_it_again(runs: Path) -> None:
    found = read_reference(runs / "new", "prepared")
    (found.pairs.path / "done.json").unlink()
    with pytest.raises(InputError, match=r"stage pairs is gone .*Run prepare-data/alone again"):
        read_reference(runs / "new", "prepared")


def test_a_reference_of_another_version_is_told(runs: Path) -> None:
    (runs / "new" / "references" / "news.json").write_text('{"digest": 1}')
    with pytest.raises(InputError, match="not of this version of pairpress"):
        read_reference(runs / "new", "news")
    write_reference(runs / "new", "news", News(digest="d", standing=None))
    assert read_reference(runs / "new", "news").digest == "d"


def test_only_what_is_still_open_may_change() -> None:
    made = changed(recipe(), ["training.max_steps=7"], OPEN, "prepare-data/alone")
    assert made == recipe(training={"max_steps": 7})
    with pytest.raises(InputError, match="data was decided by prepare-data/alone"):
        changed(recipe(), ["data.path=you/data"], OPEN, "prepare-data/alone")
    with pytest.raises(InputError, match="unknown setting trainin"):
        changed(recipe(), ["trainin.max_steps=7"], OPEN, "prepare-data/alone")
    with pytest.raises(InputError, match=r"training\.max_steps"):
        changed(recipe(), ["training.max_steps=0"], OPEN, "prepare-data/alone")


def test_sections_that_prepare_the_data_are_closed_to_the_training() -> None:
    """What the tasks before align-model read of a recipe, by their source."""
    from tasks.references import OPEN

    tasks = [
        ROOT / f"tasks/{task}.py" for task in ("load", "reformat", "curate", "validate", "account")
    ]
    read = {section for task in tasks for section in re.findall(r"recipe\.(\w+)", task.read_text())}
    assert {"data", "splits", "evaluation"} <= read  # they are found at all
    assert not read & set(OPEN["prepared"])
    assert set(OPEN["aligned"]) <= set(OPEN["prepared"]) <= set(Recipe.model_fields)


def test_a_release_of_mixed_sources_has_a_digest_that_no_later_run_has(monkeypatch) -> None:
    """Else the next night would find `nothing new` although inputs or code have changed since."""
    from tasks import references

    was, shorter = recipe(), recipe(training={"max_steps": 7})
    now = {512: "a" * 64, 7: "b" * 64}
    monkeypatch.setattr(
        references.unchanged, "digest_of", lambda one: now[one.training.max_steps or 512]
    )
    same = News(digest="a" * 64, standing=None)
    assert references.news_after(same, was, was) == same
    assert references.news_after(same, was, shorter).digest == "b" * 64
    earlier = News(digest="c" * 64, standing=None)
    mixed = references.news_after(earlier, was, was).digest
    assert mixed not in {"a" * 64, "b" * 64, "c" * 64} and len(mixed) == 64
