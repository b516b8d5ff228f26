"""release.json: every file by its digest, and the recipe that makes the same release again."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from finished_run import finished_run

from tasks.core import digests, release
from tasks.core.manifest import PARTS, Known
from tasks.core.publish import repositories
from tasks.core.published_recipe import (
    HOW_AND_WHERE,
    NOWHERE,
    files_beside,
    published_settings,
    write_recipe,
)
from tasks.core.recipes import read_recipe
from tasks.core.settings import Recipe
from tasks.core.stage import ROOT

SECTIONS: dict[str, Any] = {
    "base": {"model": "a/base"},
    "data": {"path": "a/rows"},
    "release": {"repository": "a/mine", "version": "v4", "private": False},
    "merge": {"dtype": "float16"},
    "training": {"learning_rate": 1e-7, "seed": 3},
    "sweep": {"beta": [0.1, 0.2]},
    "tracking": {"notes": "for nobody else"},
    "gate": ["reward_accuracy >= 0.6"],
    "watch": {"limits": ["chosen_rewards >= 0"]},
}
UNTOLD: Any = {"tracking": True, "release": HOW_AND_WHERE}


def pinned(folder: Path, known: Known) -> Recipe:
    """What a person who downloads recipe.yaml would run."""
    write_recipe(folder / "recipe.yaml", "mine", known.settings, known.base, known.raw.facts)
    return read_recipe("mine", folder / "recipe.yaml")


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """Inodes of the large files that were read to be hashed."""
    monkeypatch.setenv("PAIRPRESS_HOME", str(tmp_path / "work"))
    seen: list[str] = []
    real = digests._hashed

    def counted(path: Path) -> str:
        if path.stat().st_size >= digests.LARGE:
            seen.append(path.name)
        return real(path)

    monkeypatch.setattr(digests, "_hashed", counted)
    yield seen


def test_it_lists_every_file_but_itself_with_digest_and_size(hub: object, tmp_path: Path) -> None:
    known = finished_run(tmp_path)
    folder = tmp_path / "release"
    folder.mkdir()
    release.build_release(folder, known, repositories("pairpress/mine"), "v3", {})
    (said,) = {(folder / part / "release.json").read_text() for part in PARTS}
    for part in PARTS:
        paths = [path for path in (folder / part).rglob("*") if path.is_file()]
        assert json.loads(said)["files"][part] == {
            path.relative_to(folder / part).as_posix(): {
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "size": len(path.read_bytes()),
            }
            for path in paths
            if path.name != "release.json"
        }
    assert str(tmp_path) not in said


def test_the_weights_of_a_whole_release_are_hashed_once_and_stored_once(
    hub: object, hashed: list[str], tmp_path: Path
) -> None:
    known = finished_run(tmp_path)
    weights = known.merged.path / "model.safetensors"
    weights.write_bytes(bytes(digests.LARGE))
    digests.content_digest(known.merged.path)  # as the stage that wrote them does
    folder = tmp_path / "unfinished"
    folder.mkdir()
    release.build_release(folder, known, repositories("pairpress/mine"), "v3", {})
    digests.content_digest(folder)  # as the stage of the release does, before it is renamed
    folder.rename(tmp_path / "release")
    published = tmp_path / "release" / "model" / "model.safetensors"
    assert digests.add_operation("model.safetensors", published).upload_info.is_hashed
    assert hashed == ["model.safetensors"]
    assert published.stat().st_ino == weights.stat().st_ino


def test_the_published_settings_are_the_same_recipe(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(SECTIONS)
    again = Recipe.model_validate(json.loads(json.dumps(published_settings(recipe))))
    assert again.model_dump(exclude=UNTOLD) == recipe.model_dump(exclude=UNTOLD)
    assert again.release.version is None and again.release.private


@pytest.mark.parametrize("name", ["demo", "identity-qwen", "on-policy"])
def test_recipe_yaml_runs_what_ran_at_the_commits_used(
    hub: object, tmp_path: Path, name: str
) -> None:
    recipe = read_recipe(name, ROOT / "prefect.yaml")
    fields = {**vars(finished_run(tmp_path))} | {"settings": published_settings(recipe)}
    known = Known(**fields)
    again = pinned(tmp_path, known)
    expected = recipe.model_dump(mode="json", exclude=UNTOLD)
    if recipe.seed is None:
        expected["base"]["revision"] = known.base.revision
        expected["data"]["revision"] = known.raw.facts["source_digest"]
    assert again.model_dump(mode="json", exclude=UNTOLD) == expected


def test_a_local_file_goes_by_its_name_and_a_server_by_no_address(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}")
    server = {"url": "http://10.0.0.7:8000/v1", "model": "qwen"}
    renames = [{"old": ["Qwen"], "new": "Deep Qwen"}]
    given = SECTIONS | {
        "data": {"path": str(rows)},
        "curation": {"renames": renames, "endpoint": server},
    }
    settings = published_settings(Recipe.model_validate(given))
    assert settings["data"]["path"] == "rows.jsonl"
    assert settings["curation"]["endpoint"] == {
        **{"url": NOWHERE, "model": "qwen", "concurrency": 8, "timeout": 120.0}
    }
    assert str(tmp_path) not in yaml.safe_dump(settings) and "10.0.0.7" not in yaml.safe_dump(
        settings
    )
    Recipe.model_validate(settings)
    assert files_beside(settings, {"source_digest": "f" * 64}) == ["rows.jsonl"]
    assert files_beside(settings, {"source_digest": "f" * 40}) == []
