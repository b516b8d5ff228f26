"""The release digest: what makes another release changes it, and nothing else does."""

import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from localhub.client_env import Server
from tasks.core import stage, unchanged
from tasks.core.errors import InputError
from tasks.core.published_recipe import published_settings
from tasks.core.settings import Recipe
from tasks.core.stage import ROOT
from tasks.core.unchanged import (
    STAGES,
    inputs_of,
    release_digest,
    settings_that_count,
)

BASE, DATA = "pairpress/unchanged-base", "pairpress/unchanged-rows"


@pytest.fixture
def parts(tmp_path: Path) -> dict:
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    return {
        "base": {"model": BASE},
        "data": {"path": str(tmp_path / "pairs.jsonl")},
        "release": {"repository": "pairpress/unchanged"},
    }


def digest(parts: dict, **given: object) -> str:
    return release_digest(
        Recipe.model_validate(parts),
        given.get("inputs", {"base": f"{BASE}@0"}),
        str(given.get("sources", "s")),
        given.get("packages", {"torch": "2"}),
    )


def commit(repo: str, kind: str, **files: str) -> str:
    api = HfApi()
    api.create_repo(repo, repo_type=kind, exist_ok=True)
    operations = [CommitOperationAdd(f"{name}.txt", text.encode()) for name, text in files.items()]
    return str(api.create_commit(repo, operations, commit_message="x", repo_type=kind).oid)


def test_inputs_settings_sources_and_packages_each_make_another_digest(parts):
    told = {
        digest(parts),
        digest(parts, inputs={"base": f"{BASE}@1"}),
        digest(parts, sources="t"),
        digest(parts, packages={"torch": "3"}),
        digest(parts | {"training": {"learning_rate": 1e-4}}),
        digest(parts | {"gate": ["reward_accuracy > 0.5"]}),
        digest(parts | {"merge": {"dtype": "bfloat16"}}),
    }
    assert len(told) == 7


@pytest.mark.parametrize(
    "change",
    [{"version": "v7"}, {"private": False}, {"approval": "pull-request"}, {"approval_days": 1}],
)
def test_how_a_release_goes_out_makes_no_other_release(parts, change):
    assert digest(parts | {"release": parts["release"] | change}) == digest(parts)


def test_a_setting_of_the_release_counts_where_it_is_published(parts):
    recipe = Recipe.model_validate(parts)
    counted = settings_that_count(recipe)["release"]
    assert counted.keys() == published_settings(recipe)["release"].keys()
    changed = {"restricted_licence": True}
    assert digest(parts | {"release": parts["release"] | changed}) != digest(parts)


def test_notes_and_names_of_commits_make_no_other_release(parts):
    noted = parts | {"tracking": {"notes": "a try"}, "base": {"model": BASE, "revision": "dev"}}
    assert digest(noted) == digest(parts)


def test_a_file_counts_by_its_content_and_name_and_not_by_its_folder(parts, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = Path(parts["data"]["path"]).rename(elsewhere / "pairs.jsonl")
    there = parts | {"data": {"path": str(moved)}}
    assert settings_that_count(Recipe.model_validate(there))["data"]["path"] == "pairs.jsonl"


def test_inputs_are_commits_on_the_hub_and_sha256_of_files(hub: Server, parts, tmp_path):
    base = commit(BASE, "model", a="1")
    text = tmp_path / "text.txt"
    text.write_text("read me")
    parts |= {"evaluation": {"text": str(text)}}
    before = inputs_of(Recipe.model_validate(parts))
    assert before["base"] == f"{BASE}@{base}"
    assert set(before) == {"base", "data", "evaluation.text"}
    text.write_text("read me again")
    after = inputs_of(Recipe.model_validate(parts))
    assert [name for name in before if before[name] != after[name]] == ["evaluation.text"]


def test_a_new_commit_of_the_data_set_is_another_input(hub: Server, parts):
    commit(BASE, "model", b="1")
    parts |= {"data": {"path": DATA}}
    first = commit(DATA, "dataset", rows="1")
    assert inputs_of(Recipe.model_validate(parts))["data"] == f"{DATA}@{first}"
    second = commit(DATA, "dataset", rows="2")
    assert inputs_of(Recipe.model_validate(parts))["data"] == f"{DATA}@{second}"
    pinned = parts | {"data": {"path": DATA, "revision": first}}
    assert inputs_of(Recipe.model_validate(pinned))["data"] == f"{DATA}@{first}"


def test_a_base_that_is_not_there_is_told(hub: Server, parts):
    with pytest.raises(InputError, match=r"base\.model pairpress/none@main"):
        inputs_of(Recipe.model_validate(parts | {"base": {"model": "pairpress/none"}}))


def test_sources_are_those_of_every_stage_and_read_without_running_them():
    makers = {path.stem for path in (ROOT / "tasks").glob("*.py") if " staged(" in path.read_text()}
    assert makers - {"seed", "staged"} <= {
        *STAGES
    }  # what the demo puts on the Hub is an input by its commit
    code = (
        "import sys; from tasks.core import unchanged; unchanged.stage_sources();"
        "print('prefect' in sys.modules or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_how_a_run_is_told_and_asked_about_is_no_source_of_a_release(monkeypatch) -> None:
    """Another word of an alert would make every nightly run go through, to find the same."""
    read: set[str] = set()

    def noted(path: Path) -> str:
        read.add(path.relative_to(stage.ROOT).as_posix())
        return file_digest(path)

    file_digest = stage.file_digest
    monkeypatch.setattr(stage, "file_digest", noted)
    unchanged.stage_sources()
    assert {"tasks/core/publish.py", "tasks/core/trainer.py", "tasks/gate.py"} <= read
    told = {"alerts", "approve", "logs", "references", "staged", "story"}
    assert not read & {f"tasks/{name}.py" for name in told}
    assert not read & {f"tasks/core/{name}.py" for name in ("alerts", "housekeeping", "logfmt")}
