"""An earlier version back on main, forward only; branches of unfinished releases removed."""

from pathlib import Path

import pytest
from huggingface_hub import HfApi
from kilobytes import (
    Switch,
    edit_card,
    messages,
    publish,
    put,
    release_folder,
    staged,
    standing,
    titles,
    write_manifest,
)

from localhub.client_env import Server
from tasks.core import trees
from tasks.core.errors import Refused
from tasks.core.hub import HubUnavailable
from tasks.core.promoting import promote_all
from tasks.core.publish import next_version, repositories
from tasks.core.rollback import clean, rollback


def two_versions(name: str, root: Path) -> tuple[Path, Path]:
    """v2 has another tokenizer file, and lacks one that v1 has."""
    old, new = release_folder(root, "A"), release_folder(root, "B", "v2")
    (new / "model" / "tokenizer.json").rename(new / "model" / "vocab.json")
    write_manifest(new, "B", "v2")
    publish(name, old, "A")
    publish(name, new, "B", "v2")
    return old, new


def holds_all(name: str, folder: Path) -> bool:
    return all(
        trees.holds(target, trees.head_of(target), trees.files_below(folder / target.part))
        for target in repositories(name)
    )


def test_an_earlier_version_comes_back_by_one_commit_each_and_tags_stay(
    hub: Server, tmp_path: Path, switch: Switch
) -> None:
    name = "pairpress/rolled"
    old, _ = two_versions(name, tmp_path)
    tags = {part: tags for part, (_, tags, _) in standing(name).items()}
    with switch.counted():
        back = rollback(name, "v1")
        assert switch.count("PUT") == 0
    assert all(one.committed for one in back) and holds_all(name, old)
    assert {part: tags for part, (_, tags, _) in standing(name).items()} == tags
    for one in back:
        assert titles(one)[:2] == ["Roll back to v1", f"Release v2: {one.part}"]
    assert next_version(name, "B") == ("v2", True)  # a schedule does not undo it


def test_what_main_holds_already_is_left_alone(hub: Server, tmp_path: Path) -> None:
    name = "pairpress/rolled-twice"
    two_versions(name, tmp_path)
    first = rollback(name, "v1")
    before = standing(name)
    again = rollback(name, "v1")
    assert [one.commit for one in again] == [one.commit for one in first]
    assert not any(one.committed for one in again) and standing(name) == before


def test_one_can_roll_forward_again(hub: Server, tmp_path: Path) -> None:
    name = "pairpress/rolled-and-forth"
    _, new = two_versions(name, tmp_path)
    rollback(name, "v1")
    rollback(name, "v2")
    assert holds_all(name, new)


def test_what_people_added_meanwhile_stays_and_what_they_took_away_does_not_come_back(
    hub: Server, tmp_path: Path
) -> None:
    name, root = "pairpress/rolled-beside-people", tmp_path
    old, model = release_folder(root, "A"), repositories(name)[2]
    publish(name, old, "A")
    put(model, "NOTICE", b"of v1's time")
    publish(name, release_folder(root, "B", "v2"), "B", "v2")
    HfApi().delete_file("NOTICE", model.repo)
    put(model, "weights/old.gguf", b"\0theirs")
    assert rollback(name, "v1")[2].committed
    ours = {path.name for path in (old / "model").iterdir()}
    assert set(trees.tree_of(model, "main")) == ours | {".gitattributes", "weights/old.gguf"}
    assert not any(one.committed for one in rollback(name, "v1"))


def test_a_card_that_people_edited_meanwhile_is_the_version_s_again_and_stays_in_the_history(
    hub: Server, tmp_path: Path
) -> None:
    name = "pairpress/rolled-over-edits"
    old, _ = two_versions(name, tmp_path)
    edit_card(repositories(name)[2], "---\nlicense: mit\n---\nedited by a person")
    rollback(name, "v1")
    assert holds_all(name, old)
    assert titles(repositories(name)[2])[:2] == ["Roll back to v1", "by hand"]


def test_a_version_that_one_repository_lacks_is_refused_before_anything_moves(
    hub: Server, tmp_path: Path
) -> None:
    name = "pairpress/rolled-unknown"
    two_versions(name, tmp_path)
    HfApi().delete_tag(f"{name}-adapter", tag="v1")
    before = standing(name)
    with pytest.raises(Refused, match=r"^v1: pairpress/rolled-unknown-adapter has no such tag"):
        rollback(name, "v1")
    with pytest.raises(Refused, match=r"^v9: .*-pairs, .*-adapter, .* have no such tag"):
        rollback(name, "v9")
    assert standing(name) == before
    with pytest.raises(Refused, match="pairpress/never-there have no such tag"):
        rollback("pairpress/never-there", "v1")


def test_a_rollback_that_ended_halfway_is_finished_by_the_same_command(
    hub: Server, tmp_path: Path, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "pairpress/rolled-half"
    old, _ = two_versions(name, tmp_path)
    monkeypatch.setattr("tasks.core.hub.WAITS_S", ())
    switch.set({"method": "POST", "path": "rolled-half-adapter/commit/", "kind": "status"})
    with pytest.raises(HubUnavailable):
        rollback(name, "v1")
    switch.clear()
    assert [one.committed for one in rollback(name, "v1")] == [False, True, True]
    assert holds_all(name, old)
    assert all(titles(one).count("Roll back to v1") == 1 for one in repositories(name))


def test_a_release_staged_before_a_rollback_is_a_conflict_after_it(
    hub: Server, tmp_path: Path
) -> None:
    name = "pairpress/rolled-meanwhile"
    two_versions(name, tmp_path)
    placed = staged(name, release_folder(tmp_path, "C", "v3"), "C", "v3")
    rollback(name, "v1")
    with pytest.raises(Refused, match="main moved since v3 was staged"):
        promote_all(placed, "v3", messages("v3"))


def test_cleaning_removes_the_branches_of_unfinished_releases_and_says_which(
    hub: Server, tmp_path: Path
) -> None:
    name = "pairpress/cleaned"
    staged(name, release_folder(tmp_path, "A"), "A")
    HfApi().create_branch(name, branch="release/v7")
    HfApi().create_branch(name, branch="mine")
    assert clean(name) == [
        "pairpress/cleaned-pairs: release/v1",
        "pairpress/cleaned-adapter: release/v1",
        "pairpress/cleaned: release/v1",
        "pairpress/cleaned: release/v7",
    ]
    assert clean(name) == []
    assert {part: set(branches) for part, (_, _, branches) in standing(name).items()} == {
        "dataset": {"main"},
        "adapter": {"main"},
        "model": {"main", "mine"},
    }
    assert clean("pairpress/never-there") == []


def test_a_release_that_was_begun_goes_forward_before_anything_goes_back(
    hub: Server, tmp_path: Path
) -> None:
    """Taken back halfway, the data set would stay behind when the same run finishes the others."""
    name = "pairpress/begun-and-back"
    two_versions(name, tmp_path)
    HfApi().delete_tag(name, tag="v2")
    with pytest.raises(
        Refused, match=rf"^v2: it was begun and not finished, {name} has no such tag"
    ):
        rollback(name, "v1")
    HfApi().create_tag(name, tag="v7")  # somebody's own, not a release
    HfApi().create_tag(name, tag="v2")
    assert all(one.committed for one in rollback(name, "v1"))
