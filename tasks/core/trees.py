"""What a repository holds, and one commit that makes a branch hold what it should.

in   a repository, a branch and its expected head; local files, or the tree of another commit
out  the one commit; none where the branch holds it all already, also after a lost answer

Nothing is sent without a look: a try that comes after a lost answer finds its own commit and sends
no second one, and a branch that moved in between is a conflict, never overwritten.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tasks.core.digests import add_operation, file_digest
from tasks.core.errors import InputError, Refused
from tasks.core.hub import retrying, writing

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

RepoType = Literal["dataset", "model"]
MANIFEST = "release.json"
OF_THE_HUB = ".gitattributes"  # it says which files go to LFS
MOVED = (409, 412)  # a commit or a reference of somebody else came first


class Address(Protocol):
    @property
    def part(self) -> str: ...
    @property
    def repo(self) -> str: ...
    @property
    def repo_type(self) -> RepoType: ...


class Wanted(Protocol):
    """What a branch should hold: local files, or what another commit holds."""

    @property
    def names(self) -> set[str]: ...
    @property
    def kept(self) -> frozenset[str]: ...
    def same(self, name: str, entry: "RepoFile") -> bool: ...
    def operation(self, name: str) -> Any: ...


@dataclass(frozen=True)
class LocalFiles:
    """A folder's files; an unchanged one is not sent, and a large one is hashed once."""

    files: dict[str, Path]
    kept: frozenset[str] = frozenset()  # what people put beside them

    @property
    def names(self) -> set[str]:
        return set(self.files)

    def same(self, name: str, entry: "RepoFile") -> bool:
        """sha256 for LFS files, git's blob id for others."""
        path = self.files[name]
        if entry.size != path.stat().st_size:
            return False
        if entry.lfs is not None:
            return bool(entry.lfs.sha256 == file_digest(path))
        data = path.read_bytes()
        return bool(entry.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest())

    def operation(self, name: str) -> Any:
        return add_operation(name, self.files[name])


@dataclass(frozen=True)
class Stored:
    """The tree of a commit of the same repository: copied there, nothing hashed or sent again."""

    commit: str
    tree: Mapping[str, "RepoFile"]
    kept: frozenset[str] = frozenset()

    @property
    def names(self) -> set[str]:
        return set(self.tree) - {OF_THE_HUB}

    def same(self, name: str, entry: "RepoFile") -> bool:
        return content_of(entry) == content_of(self.tree[name])

    def operation(self, name: str) -> Any:
        from huggingface_hub import CommitOperationCopy

        return CommitOperationCopy(name, name, src_revision=self.commit)


def files_below(folder: Path) -> LocalFiles:
    """All files below a folder but a stage's own done.json, which names local things."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "done.json")
    return LocalFiles({path.relative_to(folder).as_posix(): path for path in paths})


def stored_at(target: Address, commit: str) -> Stored:
    return Stored(commit, tree_of(target, commit))


def content_of(entry: "RepoFile") -> str:
    """sha256 of an LFS file, git's blob id of another: equal ones are equal bytes."""
    return str(entry.lfs.sha256 if entry.lfs is not None else entry.blob_id)


def tree_of(
    target: Address, commit: str, api: "Callable[[], HfApi]" = writing
) -> dict[str, "RepoFile"]:
    from huggingface_hub.hf_api import RepoFile

    def look() -> dict[str, RepoFile]:
        entries = api().list_repo_tree(
            target.repo, recursive=True, revision=commit, repo_type=target.repo_type
        )
        return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}

    return retrying(f"{target.repo}@{commit[:8]}", look)


def head_of(target: Address, revision: str = "main", api: "Callable[[], HfApi]" = writing) -> str:
    def look() -> str:
        found = api().repo_info(target.repo, repo_type=target.repo_type, revision=revision)
        return str(found.sha)

    return retrying(target.repo, look)


@dataclass(frozen=True)
class Refs:
    branches: dict[str, str]  # name: commit
    tags: dict[str, str]


def refs_of(target: Address, api: "Callable[[], HfApi]" = writing) -> Refs:
    def look() -> Refs:
        refs = api().list_repo_refs(target.repo, repo_type=target.repo_type)
        return Refs(
            {ref.name: ref.target_commit for ref in refs.branches},
            {ref.name: ref.target_commit for ref in refs.tags},
        )

    return retrying(target.repo, look)


def history_of(target: Address, revision: str) -> list[Any]:
    """huggingface_hub's GitCommitInfo, newest first."""

    def look() -> list[Any]:
        return writing().list_repo_commits(
            target.repo, repo_type=target.repo_type, revision=revision
        )

    return retrying(f"{target.repo}@{revision[:8]}", look)


def manifest_at(target: Address, commit: str) -> dict[str, Any] | None:
    """release.json at a commit; None where there is none, or one that somebody else wrote."""
    from huggingface_hub.errors import RemoteEntryNotFoundError

    def fetch() -> str | None:
        try:  # by commit: what the cache holds under it cannot be stale
            return writing().hf_hub_download(
                target.repo, MANIFEST, repo_type=target.repo_type, revision=commit
            )
        except RemoteEntryNotFoundError:
            return None

    path = retrying(f"{target.repo}@{commit[:8]}", fetch)
    if path is None:
        return None
    try:
        manifest = json.loads(Path(path).read_bytes())
    except ValueError:
        return None
    return manifest if isinstance(manifest, dict) else None


def differing(wanted: Wanted, tree: Mapping[str, "RepoFile"]) -> tuple[list[str], list[str]]:
    """(missing or other in the tree, too many in it); both empty: the tree is what is wanted."""
    changed = [
        name
        for name in sorted(wanted.names)
        if name not in tree or not wanted.same(name, tree[name])
    ]
    return changed, sorted(set(tree) - wanted.names - wanted.kept - {OF_THE_HUB})


def operations(wanted: Wanted, changed: list[str], gone: list[str]) -> list[Any]:
    """For one try: the client's add operations are spent once used."""
    from huggingface_hub import CommitOperationDelete

    adding = [wanted.operation(name) for name in changed]
    return [*adding, *(CommitOperationDelete(name) for name in gone)]


def holds(target: Address, commit: str, wanted: Wanted) -> bool:
    return differing(wanted, tree_of(target, commit)) == ([], [])


def commit(
    target: Address,
    branch: str,
    parent: str,
    wanted: Wanted,
    message: str,
    conflict: str,
) -> tuple[str, bool]:
    """(commit, made now): the branch holds what is wanted, by one commit on top of `parent`.

    Raises Refused(conflict) when the branch holds other things and moved from `parent` or is gone,
    and when the commit does not hold what was sent.
    """
    from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

    sent: set[str] = set()

    def attempt() -> str:
        head = head_of(target, branch)
        changed, gone = differing(wanted, tree_of(target, head))
        if not changed and not gone:
            return head
        if head != parent:
            raise Refused(conflict)
        sent.add(parent)  # even without an answer: a later look may find it done
        try:
            made = writing().create_commit(
                target.repo,
                operations(wanted, changed, gone),
                commit_message=message.partition("\n")[0],
                commit_description=message.partition("\n")[2].strip(),
                repo_type=target.repo_type,
                revision=branch,
                parent_commit=parent,
            )
        except HfHubHTTPError as error:
            if error.response is None or error.response.status_code not in MOVED:
                raise
            if head_of(target, branch) == parent:
                raise
            return attempt()  # the head is another one now: ours, or a conflict
        except ValueError as error:
            if "metadata in README.md" not in str(error):
                raise
            raise InputError(f"{target.repo}: {' '.join(str(error).split())}") from error
        return str(made.oid)

    try:
        head = retrying(f"{target.repo}, commit on {branch}", attempt)
    except InputError as error:
        if not isinstance(error.__cause__, RevisionNotFoundError):
            raise
        raise Refused(conflict) from None  # somebody else removed the branch
    changed, gone = differing(wanted, tree_of(target, head))
    if changed or gone:
        raise Refused(
            f"{target.repo}@{head[:8]}: {(changed + gone)[0]} is not what was sent. "
            "Nothing was tagged; run the same command again."
        )
    return head, bool(sent) and head != parent
