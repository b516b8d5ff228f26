"""A release on branches of a real localhub: complete there, and nothing to see from main."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from kilobytes import (
    Switch,
    edit_card,
    publish,
    release_folder,
    staged,
    standing,
    titles,
    write_manifest,
)

from localhub.access import add_user
from localhub.client_env import Server
from tasks.core import staging, trees
from tasks.core.errors import InputError, Refused
from tasks.core.publish import create, repositories
from tasks.core.staging import stage


def test_each_repository_gets_one_commit_on_a_branch_and_main_stays(
    hub: Server, tmp_path: Path
) -> None:
    name, folder = "pairpress/staged-once", release_folder(tmp_path, "A")
    placed = staged(name, folder, "A")
    assert [place.part for place in placed] == ["dataset", "adapter", "model"]
    for place, target in zip(placed, repositories(name), strict=True):
        assert trees.holds(target, place.commit, trees.files_below(folder / place.part))
        refs = trees.refs_of(target)
        assert refs.branches == {"main": place.head, "release/v1": place.commit}
        assert set(trees.tree_of(target, place.head)) == {".gitattributes"}
        assert titles(target, "release/v1") == [f"Release v1: {place.part}", "initial commit"]


def test_staging_again_finds_the_same_commits_and_sends_nothing(
    hub: Server, tmp_path: Path, switch: Switch
) -> None:
    name, folder = "pairpress/staged-twice", release_folder(tmp_path, "A")
    first = staged(name, folder, "A")
    with switch.counted():
        assert staged(name, folder, "A") == first
        assert switch.count("PUT") == switch.count("POST", "/commit/") == 0
        assert switch.count("POST", "/preupload/") == 0


def test_the_head_is_the_one_that_main_had_then_not_the_one_it_has_now(
    hub: Server, tmp_path: Path
) -> None:
    name, folder = "pairpress/staged-before", release_folder(tmp_path, "A")
    first = staged(name, folder, "A")
    edit_card(repositories(name)[1], "---\nlicense: mit\n---\nedited")
    assert staged(name, folder, "A") == first


def test_another_release_on_the_branch_is_a_conflict_that_overwrites_nothing(
    hub: Server, tmp_path: Path
) -> None:
    name = "pairpress/staged-other"
    staged(name, release_folder(tmp_path, "A"), "A")
    before = standing(name)
    with pytest.raises(Refused, match=r"release/v1 holds another release.*pairpress clean"):
        staged(name, release_folder(tmp_path, "B"), "B")
    assert standing(name) == before


def test_another_release_s_branch_is_replaced_once_nobody_comes_back_for_it(
    hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, other = "pairpress/staged-abandoned", release_folder(tmp_path, "B")
    staged(name, release_folder(tmp_path, "A"), "A")
    monkeypatch.setattr(staging, "ABANDONED", timedelta(0))
    for place, target in zip(staged(name, other, "B"), repositories(name), strict=True):
        assert trees.holds(target, place.commit, trees.files_below(other / place.part))
        assert titles(target, "release/v1") == [f"Release v1: {place.part}", "initial commit"]


def test_the_same_release_with_another_card_is_staged_anew_without_its_large_files(
    hub: Server, tmp_path: Path, switch: Switch
) -> None:
    name, folder = "pairpress/staged-other-card", release_folder(tmp_path, "A")
    staged(name, folder, "A")
    (folder / "model" / "README.md").write_text("---\nlicense: mit\n---\nnow edited by people\n")
    with switch.counted():
        *_, model = staged(name, folder, "A")
        assert switch.count("PUT") == 0
    target = repositories(name)[-1]
    assert trees.history_of(target, model.commit)[1].commit_id == model.head
    assert trees.holds(target, model.commit, trees.files_below(folder / "model"))


def test_a_branch_that_somebody_squashed_is_staged_anew(hub: Server, tmp_path: Path) -> None:
    name, folder = "pairpress/staged-squashed", release_folder(tmp_path, "A")
    first = staged(name, folder, "A")
    HfApi().super_squash_history(name, branch="release/v1")
    model = staged(name, folder, "A")[2]
    assert model.head == first[2].head
    assert titles(repositories(name)[2], "release/v1") == ["Release v1: model", "initial commit"]


def test_a_branch_left_empty_by_a_killed_run_is_filled(hub: Server, tmp_path: Path) -> None:
    name, folder = "pairpress/staged-empty", release_folder(tmp_path, "A")
    for target in repositories(name):
        create(target, False)
        HfApi().create_branch(target.repo, branch="release/v1", repo_type=target.repo_type)
    moved = repositories(name)[0]
    head = edit_card(moved, "---\nlicense: mit\n---\nmain went on")
    placed = staged(name, folder, "A")
    assert placed[0].head == head  # one that main has left behind would be a conflict later
    assert all(trees.history_of(place, place.commit)[1].commit_id == place.head for place in placed)


def test_what_main_holds_already_needs_no_commit(hub: Server, tmp_path: Path) -> None:
    name, folder = "pairpress/staged-done", release_folder(tmp_path, "A")
    released = publish(name, folder, "A")
    placed = staged(name, folder, "A")
    assert [place.commit for place in placed] == [one.commit for one in released]
    assert all(place.head == place.commit for place in placed)


def test_what_the_last_release_had_and_this_one_has_not_is_gone(
    hub: Server, tmp_path: Path
) -> None:
    name = "pairpress/staged-gone"
    publish(name, release_folder(tmp_path, "A"), "A")
    folder = release_folder(tmp_path, "B", "v2")
    (folder / "model" / "tokenizer.json").unlink()
    write_manifest(folder, "B", "v2")
    *_, model = staged(name, folder, "B", "v2")
    assert "tokenizer.json" in trees.tree_of(model, model.head)
    assert "tokenizer.json" not in trees.tree_of(model, model.commit)


def test_a_private_release_does_not_go_to_a_public_repository(hub: Server, tmp_path: Path) -> None:
    name, folder = "pairpress/staged-public", release_folder(tmp_path, "A")
    targets = repositories(name)
    create(targets[1], private=False)
    with pytest.raises(InputError, match=r"staged-public-adapter is public.*nothing was sent"):
        stage(targets, folder, "v1", "A", True, dict.fromkeys(("dataset", "adapter", "model"), "m"))
    assert set(standing(name)) == {"adapter"}  # not even the data set's repository was made


def test_new_repositories_of_a_private_release_are_private(hub: Server, tmp_path: Path) -> None:
    targets = repositories("pairpress/staged-private")
    parts = dict.fromkeys(("dataset", "adapter", "model"), "m")
    for _ in range(2):
        stage(targets, release_folder(tmp_path, "A"), "v1", "A", True, parts)
    for target in targets:
        assert HfApi().repo_info(target.repo, repo_type=target.repo_type).private is True


def test_a_card_that_the_hub_refuses_is_told_in_one_line(hub: Server, tmp_path: Path) -> None:
    name, folder = "pairpress/staged-bad-card", release_folder(tmp_path, "A")
    (folder / "dataset" / "README.md").write_text("---\nlicense: [\n---\n")
    with pytest.raises(InputError) as refused:
        staged(name, folder, "A")
    told = str(refused.value)
    assert told.startswith("pairpress/staged-bad-card-pairs: Invalid metadata in README.md.")
    assert "\n" not in told


def test_publishing_uses_the_write_token_where_there_is_one(
    hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_user(hub.root, "hf_readsOnlyForStaging", "pairpress", [], "read")
    name, folder = "pairpress/staged-two-tokens", release_folder(tmp_path, "A")
    monkeypatch.setenv("HF_WRITE_TOKEN", os.environ["HF_TOKEN"])
    monkeypatch.setenv("HF_TOKEN", "hf_readsOnlyForStaging")
    publish(name, folder, "A")
    monkeypatch.delenv("HF_WRITE_TOKEN")
    with pytest.raises(InputError, match="HF_WRITE_TOKEN"):
        publish(name, release_folder(tmp_path, "B", "v2"), "B", "v2")


def test_a_file_that_did_not_arrive_is_named_and_main_stays(hub: Server, tmp_path: Path) -> None:
    """The repository's own .gitignore does it: the Hub leaves such files out, without a word."""
    name, folder = "pairpress/staged-ignored", release_folder(tmp_path, "A")
    target = repositories(name)[1]
    create(target, private=False)
    operations = [CommitOperationAdd(".gitignore", b"adapter_config.json")]
    HfApi().create_commit(target.repo, operations, commit_message="by hand")
    before = standing(name)["adapter"][:2]
    with pytest.raises(Refused, match=r"adapter_config.json is not what was sent"):
        staged(name, folder, "A")
    assert standing(name)["adapter"][:2] == before


def test_a_version_that_stands_with_other_files_is_refused_before_a_branch_is_made(
    hub: Server, tmp_path: Path
) -> None:
    name = "pairpress/staged-taken"
    publish(name, release_folder(tmp_path, "A"), "A")
    before = standing(name)
    with pytest.raises(Refused, match=r"tag v1 stands on commit \w{8}, which holds other files"):
        staged(name, release_folder(tmp_path, "B"), "B")
    assert standing(name) == before
