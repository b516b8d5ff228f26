"""People in the way of a release: proposals that they merge, an earlier version brought back."""

import json

import pytest
from ground import GROUND, pairpress

pytestmark = pytest.mark.slow

NAME = "pairpress/by-approval"
OURS = ("--set", f"release.repository={NAME}", "--set", "release.approval=pull-request")
KINDS = {f"{NAME}-pairs": "dataset", f"{NAME}-adapter": "model", NAME: "model"}


def latest() -> dict:
    return json.loads((GROUND / "work" / "runs" / "latest" / "release.json").read_text())


def tags(repo: str) -> list[str]:
    from huggingface_hub import HfApi

    return [ref.name for ref in HfApi().list_repo_refs(repo, repo_type=KINDS[repo]).tags]


def test_a_proposed_release_waits_for_its_merges_and_can_be_taken_back(demo, hub):
    from huggingface_hub import HfApi

    api = HfApi()
    proposed = pairpress("run", "demo", *OURS)
    assert proposed.returncode == 0, proposed.stderr[-3000:]
    assert "v1 is staged, verified and proposed; merge these:" in proposed.stdout
    asked = latest()["proposals"]
    assert [one["repo"] for one in asked] == list(KINDS)
    for one in asked:
        assert one["url"] in proposed.stdout and tags(one["repo"]) == []
        discussion = api.get_discussion_details(
            one["repo"], one["number"], repo_type=KINDS[one["repo"]]
        )
        assert discussion.is_pull_request and discussion.status == "open"
        assert "| strict |" in discussion.events[0].content

    waiting = pairpress("run", "demo", *OURS)
    assert waiting.returncode == 0 and latest()["proposals"] == asked

    for one in asked:
        api.merge_pull_request(one["repo"], one["number"], repo_type=KINDS[one["repo"]])
    finished = pairpress("run", "demo", *OURS)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert "Released v1, verified before its tags (no new commit)" in finished.stdout
    for repo, kind in KINDS.items():
        assert tags(repo) == ["v1"]
        branches = api.list_repo_refs(repo, repo_type=kind).branches
        assert [ref.name for ref in branches] == ["main"]

    second = pairpress(
        "run", "demo", "--set", f"release.repository={NAME}", "--set", "loss.beta=0.2"
    )
    assert second.returncode == 0, second.stderr[-3000:]
    assert tags(NAME) == ["v1", "v2"]

    back = pairpress("rollback", "v1")
    assert back.returncode == 0, back.stderr[-2000:]
    assert back.stdout.count("restored by") == 3
    for repo, kind in KINDS.items():
        at = {
            revision: {
                (one.path, one.blob_id)
                for one in api.list_repo_tree(
                    repo, recursive=True, revision=revision, repo_type=kind
                )
                if hasattr(one, "blob_id")
            }
            for revision in ("main", "v1", "v2")
        }
        assert at["main"] == at["v1"] != at["v2"]
        assert tags(repo) == ["v1", "v2"]
    again = pairpress("rollback", "v1", "--of", NAME)
    assert again.stdout.count("holds it already") == 3
    assert pairpress("clean").stdout == f"{NAME}: no release branch is left.\n"
    assert pairpress("rollback", "v7").returncode == 1
