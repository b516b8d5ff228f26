"""A release that a person approves: a pull request each, found again, merged or closed."""

from datetime import timedelta
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from kilobytes import (
    Switch,
    edit_card,
    messages,
    release_folder,
    staged,
    standing,
)

from localhub.access import add_user
from localhub.client_env import Server
from tasks.core import staging, trees
from tasks.core.errors import Refused
from tasks.core.promoting import promote_all, remove_branches
from tasks.core.proposing import LONGEST, Proposal, propose
from tasks.core.publish import repositories

EVALUATION = "strict 0.9 against 0.1"


def of(name: str, proposal: Proposal) -> str:
    return next(one.repo_type for one in repositories(name) if one.part == proposal.part)


def merge(name: str, proposal: Proposal) -> None:
    HfApi().merge_pull_request(proposal.repo, proposal.number, repo_type=of(name, proposal))


def test_a_pull_request_in_each_repository_and_none_twice(
    hub: Server, tmp_path: Path, switch: Switch
) -> None:
    name, folder = "pairpress/proposed", release_folder(tmp_path, "A")
    placed = staged(name, folder, "A")
    before = {part: contents for part, (contents, _, _) in standing(name).items()}
    with switch.counted():
        proposals = propose(placed, "v1", EVALUATION)
        assert switch.count("PUT") == 0
    assert [one.part for one in proposals] == ["dataset", "adapter", "model"]
    assert all(one.status == "open" for one in proposals)
    assert propose(placed, "v1", EVALUATION) == proposals
    assert {part: contents for part, (contents, _, _) in standing(name).items()} == before
    for one in proposals:
        found = list(HfApi().get_repo_discussions(one.repo, repo_type=of(name, one)))
        assert [each.title for each in found] == [f"Release v1: {one.part}"]
        shown = HfApi().get_discussion_details(one.repo, one.number, repo_type=of(name, one))
        assert EVALUATION in str(shown.events)
        assert one.url == shown.url


def test_once_all_are_merged_promoting_only_writes_the_tags(hub: Server, tmp_path: Path) -> None:
    name, folder = "pairpress/proposed-merged", release_folder(tmp_path, "A")
    placed = staged(name, folder, "A")
    first, *others = propose(placed, "v1", EVALUATION)
    merge(name, first)
    statuses = [one.status for one in propose(staged(name, folder, "A"), "v1", EVALUATION)]
    assert statuses == ["merged", "open", "open"]
    for one in others:
        merge(name, one)
    placed = staged(name, folder, "A")
    assert {one.status for one in propose(placed, "v1", EVALUATION)} == {"merged"}
    released = promote_all(placed, "v1", messages("v1"))
    assert not any(one.committed for one in released)
    remove_branches(released, "v1")
    for one in repositories(name):
        assert trees.holds(one, "main", trees.files_below(folder / one.part))
        assert trees.refs_of(one).tags == {"v1": trees.head_of(one)}
        assert len(trees.history_of(one, "main")) == 2  # the first commit, and the merge


def test_one_that_a_person_closed_is_a_no(hub: Server, tmp_path: Path) -> None:
    name, folder = "pairpress/proposed-closed", release_folder(tmp_path, "A")
    placed = staged(name, folder, "A")
    *_, last = propose(placed, "v1", EVALUATION)
    HfApi().change_discussion_status(last.repo, last.number, "closed", repo_type="model")
    with pytest.raises(Refused, match=r"somebody closed the pull request .* not approved"):
        propose(placed, "v1", EVALUATION)


def test_one_that_a_person_changed_is_not_what_was_verified(hub: Server, tmp_path: Path) -> None:
    name, folder = "pairpress/proposed-changed", release_folder(tmp_path, "A")
    placed = staged(name, folder, "A")
    first, *_ = propose(placed, "v1", EVALUATION)
    HfApi().create_commit(
        first.repo,
        [CommitOperationAdd("data/train.parquet", b"other rows")],
        commit_message="other rows",
        repo_type="dataset",
        revision=f"refs/pr/{first.number}",
    )
    with pytest.raises(Refused, match="holds other files than the verified ones"):
        propose(placed, "v1", EVALUATION)


def test_a_stranger_s_pull_request_of_the_same_title_is_none_of_ours(
    hub: Server, tmp_path: Path
) -> None:
    name, folder = "pairpress/proposed-by-two", release_folder(tmp_path, "A")
    add_user(hub.root, "hf_mallory", "mallory", [], "write")
    placed = staged(name, folder, "A")
    theirs = HfApi(token="hf_mallory").create_pull_request(name, title="Release v1: model")
    *_, model = propose(placed, "v1", EVALUATION)
    assert model.status == "open" and model.number != theirs.num


def test_a_description_longer_than_a_comment_is_cut_and_says_so(
    hub: Server, tmp_path: Path
) -> None:
    name, folder = "pairpress/proposed-long", release_folder(tmp_path, "A")
    first, *_ = propose(staged(name, folder, "A"), "v1", "x" * LONGEST + "y")
    shown = HfApi().get_discussion_details(first.repo, first.number, repo_type="dataset")
    (comment,) = [one.content for one in shown.events if one.type == "comment"]
    assert len(comment) == LONGEST and comment.endswith("hold the figures.)")


def test_one_that_awaits_approval_is_not_replaced_by_another_run(
    hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, other = "pairpress/proposed-waiting", release_folder(tmp_path, "B")
    proposals = propose(staged(name, release_folder(tmp_path, "A"), "A"), "v1", EVALUATION)
    monkeypatch.setattr(staging, "ABANDONED", timedelta(0))
    before = standing(name)
    with pytest.raises(Refused, match=rf"{proposals[0].url} .* still awaits approval"):
        staged(name, other, "B")
    assert standing(name) == before
    for one in proposals:
        HfApi().change_discussion_status(one.repo, one.number, "closed", repo_type=of(name, one))
    placed = staged(name, other, "B")
    assert trees.holds(placed[2], placed[2].commit, trees.files_below(other / "model"))


def test_a_main_that_moved_is_not_proposed_over(hub: Server, tmp_path: Path) -> None:
    name, folder = "pairpress/proposed-moved", release_folder(tmp_path, "A")
    placed = staged(name, folder, "A")
    edit_card(repositories(name)[2], "---\nlicense: mit\n---\nedited by a person")
    with pytest.raises(Refused, match="main moved"):
        propose(placed, "v1", EVALUATION)
    assert list(HfApi().get_repo_discussions(f"{name}-pairs", repo_type="dataset")) == []


def test_an_answer_lost_after_the_pull_request_was_made_makes_no_second(
    hub: Server, tmp_path: Path, switch: Switch
) -> None:
    name, folder = "pairpress/proposed-lost", release_folder(tmp_path, "A")
    placed = staged(name, folder, "A")
    switch.set({"method": "POST", "path": "proposed-lost-pairs/commit/", "kind": "lose-answer"})
    first, *_ = propose(placed, "v1", EVALUATION)
    found = list(HfApi().get_repo_discussions(first.repo, repo_type="dataset"))
    assert [one.num for one in found] == [first.number]
