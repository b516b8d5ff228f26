"""Which version comes next, and which release stands: read from the tags of three repositories."""

import json
from pathlib import Path

import polars as pl
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from kilobytes import put

from localhub.client_env import Server
from tasks.core.earlier import changed_pairs
from tasks.core.errors import Refused
from tasks.core.publish import (
    Repository,
    commit_repository,
    create,
    last_manifest,
    last_release,
    next_version,
    repositories,
    tag,
    versions,
)
from tasks.core.stage import Folder


def release(name: str, content: str, version: str, parts: set[str]) -> None:
    """Commit and tag some parts of a release, as a run does that may be cut off in between."""
    for target in repositories(f"pairpress/{name}"):
        if target.part in parts:
            create(target, private=False)
            text = json.dumps({"content": content}).encode()
            commit = put(target, "release.json", text)
            tag(target.model_copy(update={"commit": commit}), version)


def test_the_first_release_is_v1(hub: Server) -> None:
    assert next_version("pairpress/unheard-of", "A") == ("v1", False)


def test_a_finished_release_is_recognised_by_its_content(hub: Server, tmp_path: Path) -> None:
    release("finished", "A", "v1", {"dataset", "adapter", "model"})
    assert next_version("pairpress/finished", "A") == ("v1", True)
    assert next_version("pairpress/finished", "B") == ("v2", False)


def test_a_half_tagged_release_is_continued_by_its_own_content_only(
    hub: Server, tmp_path: Path
) -> None:
    release("half", "A", "v1", {"dataset", "adapter", "model"})
    release("half", "B", "v2", {"dataset"})
    assert next_version("pairpress/half", "B") == ("v2", False)
    assert next_version("pairpress/half", "C") == ("v3", False)
    release("half", "B", "v2", {"adapter", "model"})
    assert next_version("pairpress/half", "B") == ("v2", True)


def test_going_back_to_an_earlier_release_is_a_new_version(hub: Server, tmp_path: Path) -> None:
    for version, digest in (("v1", "A"), ("v2", "B")):
        release("back", digest, version, {"dataset", "adapter", "model"})
    assert next_version("pairpress/back", "A") == ("v3", False)


def test_tags_that_somebody_else_made_are_stepped_over(hub: Server) -> None:
    target = Repository(part="model", repo="pairpress/foreign-tags", repo_type="model")
    create(target, private=False)
    operations = [CommitOperationAdd("a.txt", b"a")]
    HfApi().create_commit(target.repo, operations, commit_message="by hand")
    for name in ("v7", "v07", "v8-beta", "stable"):
        HfApi().create_tag(target.repo, tag=name)
    assert next_version(target.repo, "A") == ("v8", False)


def test_a_version_may_be_asked_for_and_only_goes_up(hub: Server, tmp_path: Path) -> None:
    parts = {"dataset", "adapter", "model"}
    name = "pairpress/wanted"
    assert next_version(name, "A", "v4") == ("v4", False)
    release("wanted", "A", "v4", parts)
    assert next_version(name, "A", "v4") == next_version(name, "A") == ("v4", True)
    assert next_version(name, "A", "v9") == ("v9", False)  # the same once more, on purpose
    with pytest.raises(Refused, match=r"wanted has it already, with other content.* v5"):
        next_version(name, "B", "v4")
    for content in ("A", "B"):
        with pytest.raises(Refused, match=r"is at v4, and versions only go up"):
            next_version(name, content, "v3")


def test_the_last_manifest_is_the_one_of_the_last_finished_release(
    hub: Server, tmp_path: Path
) -> None:
    assert last_manifest("pairpress/manifests") is None
    release("manifests", "A", "v9", {"dataset", "adapter", "model"})
    release("manifests", "B", "v10", {"dataset", "adapter"})
    assert last_manifest("pairpress/manifests") == {"content": "A"}
    release("manifests", "B", "v10", {"model"})
    assert last_manifest("pairpress/manifests") == {"content": "B"}


def test_a_version_is_whole_with_all_three_tags_and_a_release_behind_them(
    hub: Server, tmp_path: Path
) -> None:
    """A tag of somebody else on the merged model alone is no release to compare with."""
    name = "pairpress/partly-foreign"
    pairs = Folder(stage="curate", path=tmp_path, digest="", facts={})
    row = {"prompt": ["?"], "chosen": ["yes"], "rejected": ["no"]}
    pl.DataFrame(row).write_parquet(tmp_path / "rows.parquet")
    release("partly-foreign", "A", "v1", {"model"})
    assert last_manifest(name) is last_release(name) is None
    assert changed_pairs(name, pairs).sentence == "First release: 1 row"
    parts = {"dataset", "adapter", "model"}
    release("partly-foreign", "B", "v2", parts)
    for target in repositories(name):
        commit = put(target, "release.json", b"[]")
        tag(target.model_copy(update={"commit": commit}), "v3")
    assert (last_manifest(name) or {})["content"] == "B"
    last = last_release(name)
    assert last and last.revision == versions(name)[2]["model"]
    assert "since v2" in changed_pairs(name, pairs).sentence


def test_a_tag_that_somebody_else_made_has_no_manifest(hub: Server, tmp_path: Path) -> None:
    target = Repository(part="model", repo="pairpress/no-manifest", repo_type="model")
    create(target, private=False)
    (tmp_path / "a.txt").write_text("a")
    tag(commit_repository(target, tmp_path, "by hand"), "v1")
    assert last_manifest(target.repo) is None
    (tmp_path / "release.json").write_text("[1, 2]")
    tag(commit_repository(target, tmp_path, "by hand"), "v2")
    assert last_manifest(target.repo) is None
