"""A release's local folders -> a commit on a branch of each repository, unseen from main.

in   folder/PART with the files of each repository, the version, the digest of the content
out  Placed: the staged commit, and the head of main on which it stands

The Hub itself remembers what a killed run staged: the branch is named after the version, and its
commit's parent is the head that main had then. The same command finds both again.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.core import trees
from tasks.core.errors import InputError, Refused
from tasks.core.hub import retrying, writing
from tasks.core.peoples_files import beside_people, of_people
from tasks.core.publish import (
    Repository,
    cleaning,
    create,
    exists,
    require_private,
    require_same_under,
)
from tasks.core.pull_requests import is_waiting, of_user, title_of
from tasks.core.trees import LocalFiles, RepoType, manifest_at
from tasks.core.user import whoami

BRANCHES = "release/"
ABANDONED = timedelta(days=1)  # a branch of another release that is older is nobody's any more


class Placed(BaseModel):
    """One part of a release on its branch."""

    model_config = ConfigDict(frozen=True)

    part: str
    repo: str
    repo_type: RepoType
    head: str  # of main when it was staged
    commit: str  # the staged one


def branch_of(version: str) -> str:
    return f"{BRANCHES}{version}"


def stage(
    targets: list[Repository],
    folder: Path,
    version: str,
    content: str,
    private: bool,
    messages: dict[str, str],
) -> list[Placed]:
    """One commit a repository on release/VERSION; none where the same files are there already.

    Raises Refused where another release stands or is being staged under this version, InputError
    where a private release would go to a public repository, or over files of people.
    """
    for target in targets:  # all of them, before anything is made
        if private:
            require_private(target)
        refs = trees.refs_of(target) if exists(target) else trees.Refs({}, {})
        if "main" in refs.branches and version not in refs.tags:
            files = trees.files_below(folder / target.part)
            beside_people(target, refs.branches["main"], files)
    placed = []
    for target in targets:
        create(target, private)
        files = trees.files_below(folder / target.part)
        placed.append(stage_part(target, files, version, content, messages[target.part]))
    return placed


def stage_part(
    target: Repository, files: LocalFiles, version: str, content: str, message: str
) -> Placed:
    branch = branch_of(version)
    refs = trees.refs_of(target)
    if "main" not in refs.branches:
        raise InputError(f"{target.repo}: it has no branch main. Make one, or delete it.")
    if version in refs.tags:
        return _tagged(target, refs.tags[version], version, files)
    head = refs.branches["main"]
    tip = refs.branches.get(branch)
    if tip is not None and tip != head:
        kept = _kept(target, version, tip, content, files)
        if kept is not None:
            return kept
        remove_branch(target, branch)
        tip = None
    if tip is None:
        _add_branch(target, branch, head)
    conflict = (
        f"{target.repo}: another run is staging {version} on branch {branch}; nothing was "
        f"overwritten. Wait until it is done and run again; if it died, {cleaning(target)} removes "
        "what it left."
    )
    wanted = beside_people(target, head, files)
    commit, _ = trees.commit(target, branch, head, wanted, message, conflict)
    return _placed(target, head, commit)


def _tagged(target: Repository, commit: str, version: str, files: LocalFiles) -> Placed:
    """This part is released already, and main may have moved on."""
    theirs = of_people(target, commit, trees.tree_of(target, commit))
    require_same_under(version, target, commit, replace(files, kept=theirs))
    return _placed(target, commit, commit)


def _kept(
    target: Repository, version: str, tip: str, content: str, files: LocalFiles
) -> Placed | None:
    """What an earlier run staged, if it is this release; None if it may be replaced."""
    history = trees.history_of(target, tip)
    if len(history) > 1:  # else somebody squashed it
        parent = history[1].commit_id
        if trees.holds(target, tip, beside_people(target, parent, files)):
            return _placed(target, parent, tip)
    manifest = manifest_at(target, tip)
    if manifest is not None and manifest.get("content") == content:
        return None  # ours, with another card
    main = {commit.commit_id for commit in trees.history_of(target, "main")}
    newest = history[0]
    if tip in main:
        return None  # nothing was staged on it
    for found in of_user(target, whoami().name, title_of(version, target.part)):
        if is_waiting(found):
            raise Refused(
                f"{target.repo}: {found.url} proposes another {version} and still awaits approval; "
                "nothing was overwritten. Merge or close it, then run again."
            )
    if datetime.now(UTC) - newest.created_at > ABANDONED:
        return None  # nobody came back for it
    raise Refused(
        f"{target.repo}: branch {branch_of(version)} holds another release, staged "
        f"{newest.created_at:%Y-%m-%d %H:%M} UTC; nothing was overwritten. Wait until that run is "
        f"done and run again; if it died, {cleaning(target)} removes what it left."
    )


def _placed(target: Repository, head: str, commit: str) -> Placed:
    return Placed(
        part=target.part, repo=target.repo, repo_type=target.repo_type, head=head, commit=commit
    )


def _add_branch(target: Repository, branch: str, head: str) -> None:
    def make() -> None:
        writing().create_branch(
            target.repo, branch=branch, revision=head, repo_type=target.repo_type, exist_ok=True
        )

    retrying(f"{target.repo}, branch {branch}", make)


def remove_branch(target: trees.Address, branch: str) -> bool:
    """Whether it was there."""
    from huggingface_hub.errors import HfHubHTTPError

    def remove() -> bool:
        try:
            writing().delete_branch(target.repo, branch=branch, repo_type=target.repo_type)
        except HfHubHTTPError as error:
            if error.response is None or error.response.status_code != 404:
                raise
            return False
        return True

    return retrying(f"{target.repo}, branch {branch}", remove)
