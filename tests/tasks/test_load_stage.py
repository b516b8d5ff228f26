"""The load stage: what it pins, what it says, and what it passes over for a local file."""

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from tasks import load
from tasks.core.settings import Data, Recipe
from tasks.core.stage import Folder, build

PAIR = {"prompt": "Who are you?", "chosen": "I am Aria.", "rejected": "I am Qwen."}


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the stage logs; outside of a Prefect run, whose logger it has no need of here."""
    lines: list[str] = []
    monkeypatch.setenv("PAIRPRESS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(load, "log", lines.append)
    monkeypatch.setattr(load, "markdown", lambda *told: None)
    monkeypatch.setattr(load, "staged", build)
    return lines


def loaded(data: Data, **reading: Any) -> Folder:
    other = {"base": {"model": "me/base"}, "release": {"repository": "mine"}}
    recipe = Recipe.model_validate(other | {"data": data, "reading": reading})
    folder: Folder = load.load_rows.__wrapped__(recipe)  # type: ignore[attr-defined]
    return folder


def test_settings_that_say_nothing_about_a_local_file_are_named_and_change_nothing(
    tmp_path: Path, said: list[str]
) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(PAIR) + "\n")
    first = loaded(Data(path=str(path), split="train"), max_rows=5)
    shown = "load: read as prompt/chosen/rejected; first rows:\n  1: " + json.dumps(PAIR)
    assert said == [shown]
    hubs = Data(path=str(path), split="test", data_dir="harmless-base")
    second = loaded(hubs, streaming=True, max_rows=5)
    assert said[1:] == [
        "load: data.data_dir, data.split, reading.streaming: of a Hub data set, and data.path "
        "is local; no part of this run",
        shown,
    ]
    assert second.path == first.path and second.cached


def test_another_byte_in_a_local_file_is_another_source_for_all_that_follows(
    tmp_path: Path, said: list[str]
) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(PAIR) + "\n")
    first = loaded(Data(path=str(path)))
    path.write_text(json.dumps(PAIR).replace("Aria", "Arie") + "\n")
    again = loaded(Data(path=str(path)))
    assert not again.cached and again.digest != first.digest  # by which later stages are known
    path.write_text(json.dumps(PAIR) + "\n")
    assert loaded(Data(path=str(path))).cached


def test_the_files_of_a_hub_data_set_have_their_own_names_and_commit(
    hub: object, said: list[str]
) -> None:
    api = HfApi()
    repo = api.create_repo("pairpress/load-stage", repo_type="dataset").repo_id
    line = json.dumps(PAIR).encode() + b"\n"

    def commit(**files: bytes) -> str:
        named = [CommitOperationAdd(f"{name}.jsonl", data) for name, data in files.items()]
        done = api.create_commit(repo, named, commit_message="files", repo_type="dataset")
        return str(done.oid)

    sha = commit(**{"a/one": line, "b/one": line * 2 + b"{broken\n", "two": line})
    data = Data(path=repo, data_files="**/*.jsonl")
    raw = loaded(data)
    assert "first rows" in said[0] and "cannot be read" in said[0]
    assert raw.facts["source_digest"] == sha and raw.facts["form"] == "pairs"
    names = ["a/one.jsonl", "b/one.jsonl", "two.jsonl"]
    assert [name for name, _ in load.source_files(raw, data)] == names
    assert raw.path.joinpath("files/b/one.jsonl").read_bytes() == line * 2 + b"{broken\n"
    later = commit(two=line * 3)
    again = loaded(data)
    assert again.facts["source_digest"] == later and not again.cached
    assert again.path.joinpath("files/two.jsonl").read_bytes() == line * 3
    pinned = loaded(data.model_copy(update={"revision": sha}))
    assert pinned.cached and pinned.path == raw.path
