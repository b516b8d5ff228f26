"""Publish releases of kilobytes as runs do, one by approval; audit, roll back, clean up, delete.

in   HF_ENDPOINT, HF_TOKEN (may write), HF_HUB_DISABLE_XET; all are read when the client is imported
out  a line for each step; four private repositories that are gone again, also when a step fails

Run by test_public_hub.py in a process of its own: `python tests/public/release_and_delete.py`.
"""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi
from small_release import Made, write_base, write_release

from tasks.core import trees
from tasks.core.audit import audit_in_new_process, places_of
from tasks.core.promoting import promote_all, remove_branches
from tasks.core.proposing import propose
from tasks.core.publish import preflight, repositories
from tasks.core.release_found import Place
from tasks.core.rollback import clean, rollback
from tasks.core.staging import Placed, stage


def release_and_delete(folder: Path) -> None:
    name = preflight(f"pairpress-test-{secrets.token_hex(4)}")
    with base_repository(f"{name}-base", write_base(folder / "base")) as commit, deleted(name):
        for version in ("v1", "v2"):
            made = write_release(
                folder / version, folder / "base", name, f"{name}-base", commit, version
            )
            if version == "v2":
                (made.folder / "dataset" / "notes.txt").write_text("new in v2")
                made.write_manifest()
            placed = staged(name, made, version)
            places = [
                Place(part=one.part, repo=one.repo, repo_type=one.repo_type, revision=one.commit)
                for one in placed
            ]
            told = audit_in_new_process(places)
            print(f"staged {version}, verified: {len(told)} lines", flush=True)
            if version == "v2":
                approve(placed, version)
            released = promote_all(placed, version, messages(version))
            assert any(one.committed for one in released) == (version == "v1")
            removed = remove_branches(released, version)
            assert len(removed) == len(released) == 3, removed
            assert [one.version for one in released] == [version] * 3
            again = promote_all(placed, version, messages(version))
            assert [one.commit for one in again] == [one.commit for one in released]
            print(f"promoted {version}, and once more without a commit", flush=True)
        audit_in_new_process(places_of(name))
        rollback(name, "v1")
        for target in repositories(name):
            first = trees.stored_at(target, "v1")
            assert trees.holds(target, trees.head_of(target), first), target.repo
        print("rolled back to v1", flush=True)
        left = write_release(folder / "v3", folder / "base", name, f"{name}-base", commit, "v3")
        staged(name, left, "v3")
        assert len(clean(name)) == 3
        print("cleaned", flush=True)


def approve(placed: list[Placed], version: str) -> None:
    """A pull request in each repository, merged as a person does; then main holds the release."""
    before = [trees.head_of(one) for one in placed]
    proposals = propose(placed, version, "How it was evaluated")
    assert [one.status for one in proposals] == ["open"] * 3, proposals
    assert propose(placed, version, "How it was evaluated") == proposals
    assert [trees.head_of(one) for one in placed] == before
    for place, one in zip(placed, proposals, strict=True):
        HfApi().merge_pull_request(one.repo, one.number, repo_type=place.repo_type)
    merged = propose(placed, version, "How it was evaluated")
    assert [one.status for one in merged] == ["merged"] * 3, merged
    print(f"proposed {version}, merged", flush=True)


def staged(name: str, made: Made, version: str) -> list[Placed]:
    content = made.manifest["content"]
    return stage(repositories(name), made.folder, version, content, True, messages(version))


def messages(version: str) -> dict[str, str]:
    return {part: f"Release {version}: {part}" for part in ("dataset", "adapter", "model")}


@contextmanager
def base_repository(name: str, folder: Path) -> Iterator[str]:
    """A base model of its own, private as the release; yields its commit."""
    api = HfApi()
    api.create_repo(name, private=True)
    try:
        files = [path for path in folder.iterdir() if path.is_file()]
        operations = [CommitOperationAdd(path.name, path) for path in files]
        yield api.create_commit(name, operations, commit_message="A random base").oid
    finally:
        api.delete_repo(name)


@contextmanager
def deleted(name: str) -> Iterator[None]:
    try:
        yield
    finally:
        for target in repositories(name):
            HfApi().delete_repo(target.repo, repo_type=target.repo_type, missing_ok=True)
        print("deleted", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        release_and_delete(Path(scratch))
