"""A staged release on main of a real localhub: one commit and one tag each, or a conflict."""

from pathlib import Path

import pytest
from huggingface_hub import HfApi
from kilobytes import (
    Switch,
    edit_card,
    messages,
    publish,
    release_folder,
    require_complete,
    staged,
    standing,
    titles,
    write_manifest,
)

from localhub.client_env import Server
from tasks.core import trees
from tasks.core.errors import Refused
from tasks.core.promoting import look, promote, promote_all, remove_branches
from tasks.core.publish import last_manifest, next_version, repositories


def test_main_holds_the_staged_files_by_one_commit_and_no_byte_is_sent_again(
    hub: Server, tmp_path: Path, switch: Switch
) -> None:
    name, folder = "pairpress/promoted", release_folder(tmp_path, "A")
    placed = staged(name, folder, "A")
    with switch.counted():
        released = promote_all(placed, "v1", messages("v1"))
        assert switch.count("PUT") == switch.count("POST", "/preupload/") == 0
        tags = [one["path"] for one in switch.log() if "/tag/" in str(one["path"])]
    assert [str(path).split("/")[4] for path in tags] == [
        one.repo.split("/")[1] for one in repositories(name)
    ]  # the merged model's comes last
    assert all(one.committed and one.version == "v1" for one in released)
    assert remove_branches(released, "v1") == [f"{one.repo}: release/v1" for one in released]
    require_complete(name, folder, "v1")
    for one, place in zip(released, placed, strict=True):
        assert trees.history_of(one, one.commit)[1].commit_id == place.head


def test_promoting_again_changes_nothing(hub: Server, tmp_path: Path) -> None:
    name, folder = "pairpress/promoted-twice", release_folder(tmp_path, "A")
    placed = staged(name, folder, "A")
    first = promote_all(placed, "v1", messages("v1"))
    before = standing(name)
    again = promote_all(placed, "v1", messages("v1"))
    assert [one.commit for one in again] == [one.commit for one in first]
    assert not any(one.committed for one in again)
    assert standing(name) == before
    assert remove_branches(first, "v1") and remove_branches(first, "v1") == []


def test_a_release_that_ended_halfway_is_finished_by_the_same_steps(
    hub: Server, tmp_path: Path
) -> None:
    name, folder = "pairpress/promoted-half", release_folder(tmp_path, "A")
    placed = staged(name, folder, "A")
    promote(placed[0], "v1", "Release v1: dataset")
    trees.commit(  # and the adapter's commit, without its tag
        placed[1],
        "main",
        placed[1].head,
        trees.stored_at(placed[1], placed[1].commit),
        "Release v1: adapter",
        "no conflict",
    )
    assert next_version(name, "A") == ("v1", False)
    publish(name, folder, "A")
    require_complete(name, folder, "v1")
    assert next_version(name, "A") == ("v1", True)


def test_a_main_that_moved_in_the_last_repository_changes_none_of_them(
    hub: Server, tmp_path: Path
) -> None:
    name, folder = "pairpress/promoted-moved", release_folder(tmp_path, "A")
    placed = staged(name, folder, "A")
    edit_card(repositories(name)[2], "---\nlicense: mit\n---\nedited by a person")
    before = standing(name)
    with pytest.raises(Refused, match=r"promoted-moved: main moved since v1.*pairpress clean"):
        promote_all(placed, "v1", messages("v1"))
    assert standing(name) == before


def test_a_main_that_moves_between_the_look_and_the_commit_is_not_overwritten(
    hub: Server, tmp_path: Path
) -> None:
    name, folder = "pairpress/promoted-late", release_folder(tmp_path, "A")
    placed = staged(name, folder, "A")
    look(placed, "v1")
    edit_card(repositories(name)[0], "---\nlicense: mit\n---\nedited by a person")
    before = standing(name)
    with pytest.raises(Refused, match="nothing was overwritten"):
        promote(placed[0], "v1", "Release v1: dataset")
    assert standing(name) == before


def test_a_tag_of_somebody_else_is_found_before_anything_is_changed(
    hub: Server, tmp_path: Path
) -> None:
    name, folder = "pairpress/promoted-taken", release_folder(tmp_path, "A")
    placed = staged(name, folder, "A")
    HfApi().create_tag(name, tag="v1")
    before = standing(name)
    with pytest.raises(Refused, match=r"tag v1 stands on commit \w{8}, which holds other files"):
        promote_all(placed, "v1", messages("v1"))
    assert standing(name) == before


def test_a_repository_whose_tag_stands_may_move_on(hub: Server, tmp_path: Path) -> None:
    """A killed run tagged the data set; then somebody edited its card; the rest is finished."""
    name, folder = "pairpress/promoted-and-edited", release_folder(tmp_path, "A")
    placed = staged(name, folder, "A")
    first = promote(placed[0], "v1", "Release v1: dataset")
    head = edit_card(repositories(name)[0], "---\nlicense: mit\n---\nedited by a person")
    released = promote_all(placed, "v1", messages("v1"))
    assert released[0].commit == first.commit and [one.version for one in released] == ["v1"] * 3
    assert trees.head_of(repositories(name)[0]) == head


def test_the_next_release_replaces_the_last_one_s_files_and_keeps_its_tags(
    hub: Server, tmp_path: Path
) -> None:
    name, folder = "pairpress/promoted-next", release_folder(tmp_path, "B", "v2")
    old = publish(name, release_folder(tmp_path, "A"), "A")
    (folder / "model" / "tokenizer.json").unlink()
    write_manifest(folder, "B", "v2")
    publish(name, folder, "B", "v2")
    require_complete(name, folder, "v2")
    for one in old:
        assert trees.refs_of(one).tags["v1"] == one.commit
        assert titles(one)[:2] == [f"Release v2: {one.part}", f"Release v1: {one.part}"]
    last = last_manifest(name)
    assert last is not None and (last["version"], last["content"]) == ("v2", "B")
