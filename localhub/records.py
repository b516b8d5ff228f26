"""What the store keeps, as values: a repository, a commit, a file, a discussion; allowed names.

in   the JSON of a repository or a commit, names as clients send them
out  frozen values; ValueError with the reason for a name that must not be stored
"""

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# Namespaces that would hide a part of the server itself.
_RESERVED_OWNERS = {"api", "datasets", "lfs", "models", "spaces"}
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_COMMIT_ID = re.compile(r"[0-9a-f]{40}")


class RepoId(NamedTuple):
    """`kind` is "models" or "datasets", as in the paths of the API."""

    kind: str
    owner: str
    name: str

    @property
    def short(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def page(self) -> str:
        """Path of its page: models stand at the top."""
        return f"/{self.short}" if self.kind == "models" else f"/{self.kind}/{self.short}"

    def __str__(self) -> str:
        return f"{self.kind[:-1]} {self.short}"


@dataclass(frozen=True)
class Discussion:
    """A pull request where it has a `head`: the commit that refs/pr/{num} points to."""

    num: int
    title: str
    author: str
    created: str
    status: str  # "open" or "closed"; of pull requests also "draft" or "merged"
    events: list[dict[str, Any]]  # comments and changes, as the Hub tells them
    base: str | None = None  # the commit of main where a pull request began
    head: str | None = None
    merged: str | None = None  # the commit of main that took it in

    @property
    def ref(self) -> str:
        return f"refs/pr/{self.num}"


@dataclass(frozen=True)
class Repository:
    id: RepoId
    private: bool
    created: str
    branches: dict[str, str]  # name -> commit id
    tags: dict[str, str]
    gated: str | bool = False  # "auto", "manual" or False, as the Hub has it
    discussions: list[Discussion] = field(default_factory=list)  # number 1 stands first

    @property
    def pulls(self) -> dict[str, str]:
        """refs/pr/N -> commit id"""
        return {talk.ref: talk.head for talk in self.discussions if talk.head is not None}


@dataclass(frozen=True)
class File:
    oid: str  # git's blob id: of the content, or of the pointer when git would keep only that
    size: int
    sha256: str  # of the content: where it lies in the store
    lfs: bool

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid


@dataclass(frozen=True)
class Commit:
    id: str
    parent: str | None
    title: str
    message: str
    user: str
    date: str
    files: dict[str, File]
    folders: dict[str, str]  # path -> git tree id; '' is the whole

    @property
    def tree(self) -> str:
        return self.folders[""]


@dataclass(frozen=True)
class Change:
    """One path of a commit: its new file, or None to delete it (`folder`: all that is below it)."""

    path: str
    file: File | None
    folder: bool = False


def check_repo_name(repository: RepoId) -> None:
    for part in (repository.owner, repository.name):
        if (
            not _NAME.fullmatch(part)
            or len(part) > 96
            or ".." in part
            or "--" in part
            or part.endswith(".git")
        ):
            raise ValueError(
                f"{part!r} cannot name a repository: use up to 96 letters, digits, '-', '_' and "
                "'.', with none of '-' and '.' at the ends, no '--', no '..' and no final '.git'."
            )
    if repository.owner in _RESERVED_OWNERS:
        raise ValueError(f"{repository.owner!r} cannot own repositories: that path is the server's")


def check_path(path: str) -> None:
    """Readers write these paths below a folder of theirs, so none may lead out of it."""
    parts = path.split("/")
    if (
        any(part in ("", ".", "..") or part.lower() == ".git" for part in parts)
        or any(len(part.encode(errors="replace")) > 255 for part in parts)
        or "\\" in path
        or not path.isprintable()
        or len(path.encode(errors="replace")) > 1024
    ):
        raise ValueError(
            f"{path!r} cannot be a file of a repository: paths are relative, with '/' between "
            "names of up to 255 bytes, without '..', '.', '.git', backslashes and control "
            "characters."
        )


def check_ref_name(name: str) -> None:
    """The rules of `git check-ref-format`, and no name that could be taken for something else."""
    if (
        not name
        or name.startswith(("/", "-", "refs/"))
        or name.endswith(("/", "."))
        or any(
            part.startswith(".") or part.endswith(".lock") or not part for part in name.split("/")
        )
        or any(mark in name for mark in ("..", "@{", *" ~^:?*[\\"))
        or not name.isprintable()
        or _COMMIT_ID.fullmatch(name)
    ):
        raise ValueError(
            f"{name!r} cannot name a branch or a tag: git's rules for names hold, and it must "
            "neither begin with 'refs/' nor look like a commit id."
        )
