"""Repositories on disk: contents by sha256, commits as JSON, one small JSON file each for the refs.

in   streams of bytes, changes to paths, names of branches and tags
out  below the root, each file whole or absent, also after kill -9 or with two servers on one root:
         blobs/, tmp/                            contents (contents.py)
         repos/{kind}/{owner}/{name}/repo.json   settings, branches, tags, discussions: published
                                                 by one os.replace under locks/, so it counts
         repos/{kind}/{owner}/{name}/commits/{id}.json
The ids are git's own (gitids.py). Deleting a repository leaves its contents in blobs/.
"""

import fcntl
import functools
import json
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from localhub import gitids
from localhub.changes import changed_files
from localhub.contents import Contents
from localhub.disk import make_folder, sync_folder, write_json
from localhub.errors import (
    HubError,
    repository_missing,
    revision_missing,
    stale_parent,
)
from localhub.records import (
    Change,
    Commit,
    Discussion,
    File,
    RepoId,
    Repository,
    check_ref_name,
    check_repo_name,
)


class Store(Contents):
    # Repositories

    def repository(self, repo: RepoId) -> Repository:
        try:
            check_repo_name(repo)
            saved = json.loads((self._folder(repo) / "repo.json").read_text())
        except (ValueError, FileNotFoundError) as error:
            raise repository_missing(str(repo)) from error
        talks = [Discussion(**talk) for talk in saved.pop("discussions", [])]
        return Repository(repo, **saved, discussions=talks)

    def repositories(self) -> list[Repository]:
        found = []
        for path in sorted((self.root / "repos").glob("*/*/*/repo.json")):
            with suppress(HubError):  # deleted meanwhile
                found.append(self.repository(RepoId(*path.parts[-4:-1])))
        return found

    def create(self, repo: RepoId, private: bool, user: str, files: dict[str, File]) -> None:
        try:
            check_repo_name(repo)
        except ValueError as error:
            raise HubError(400, str(error)) from error
        with self.locked(repo):
            if (self._folder(repo) / "repo.json").exists():
                raise HubError(409, f"{repo} exists already.")
            first = self.write_commit(repo, None, "initial commit", "", user, files)
            self.publish(Repository(repo, private, first.date, {"main": first.id}, {}))

    def delete(self, repo: RepoId) -> None:
        with self.locked(repo):
            self.repository(repo)
            gone = self.root / "tmp" / secrets.token_hex(16)
            self._folder(repo).rename(gone)
            sync_folder(self._folder(repo).parent)
        shutil.rmtree(gone)

    def move(self, repo: RepoId, to: RepoId) -> None:
        """One rename. The old name is free afterwards and leads nowhere."""
        try:
            check_repo_name(to)
        except ValueError as error:
            raise HubError(400, str(error)) from error
        if repo == to:
            return
        first, second = sorted((repo, to))  # the same order for two moves that cross
        with self.locked(first), self.locked(second):
            self.repository(repo)
            if (self._folder(to) / "repo.json").exists():
                raise HubError(409, f"{to} exists already.")
            shutil.rmtree(self._folder(to), ignore_errors=True)  # of a create that was killed
            make_folder(self._folder(to).parent)
            self._folder(repo).rename(self._folder(to))
            for parent in {self._folder(repo).parent, self._folder(to).parent}:
                sync_folder(parent)

    def change_settings(
        self, repo: RepoId, private: bool | None, gated: str | bool | None
    ) -> Repository:
        with self.locked(repo):
            repository = self.repository(repo)
            changed = replace(
                repository,
                private=repository.private if private is None else private,
                gated=repository.gated if gated is None else gated,
            )
            self.publish(changed)
            return changed

    # Branches and tags

    def add_branch(self, repo: RepoId, name: str, start: str) -> None:
        self._add_ref(repo, "branch", name, start)

    def add_tag(self, repo: RepoId, name: str, start: str) -> None:
        self._add_ref(repo, "tag", name, start)

    def _add_ref(self, repo: RepoId, sort: str, name: str, start: str) -> None:
        try:
            check_ref_name(name)
        except ValueError as error:
            raise HubError(400, str(error)) from error
        with self.locked(repo):
            repository = self.repository(repo)
            # One name, one meaning: a tag called like a branch would read as the branch.
            for taken, names in (("branch", repository.branches), ("tag", repository.tags)):
                if name in names:
                    raise HubError(409, f"{repo}: the {taken} {name!r} exists already.")
            refs = repository.branches if sort == "branch" else repository.tags
            refs[name] = self.resolve(repository, start).id
            self.publish(repository)

    def delete_branch(self, repo: RepoId, name: str) -> None:
        if name == "main":
            raise HubError(
                403, f"{repo}: the branch 'main' cannot be deleted, only the repository."
            )
        self._delete_ref(repo, "branch", name)

    def delete_tag(self, repo: RepoId, name: str) -> None:
        self._delete_ref(repo, "tag", name)

    def _delete_ref(self, repo: RepoId, sort: str, name: str) -> None:
        with self.locked(repo):
            repository = self.repository(repo)
            refs = repository.branches if sort == "branch" else repository.tags
            if refs.pop(name, None) is None:
                raise revision_missing(str(repo), name)
            self.publish(repository)

    # Commits

    def resolve(self, repository: Repository, revision: str) -> Commit:
        """A branch, a tag, refs/heads|tags|pr/.., or a commit id from 7 digits on."""
        refs = {"HEAD": repository.branches["main"]}  # what the JavaScript client asks for
        refs |= {f"refs/tags/{name}": commit for name, commit in repository.tags.items()}
        refs |= {f"refs/heads/{name}": commit for name, commit in repository.branches.items()}
        refs |= repository.pulls | repository.tags | repository.branches
        commits = self._folder(repository.id) / "commits"
        if revision in refs:
            return self._read(repository, refs[revision])
        if re.fullmatch(r"[0-9a-f]{7,40}", revision):
            found: list[Path] = []
            with suppress(FileNotFoundError):  # glob's own, of a folder that goes while it looks
                found = list(commits.glob(f"{revision}*.json"))
            if len(found) == 1:
                return self._read(repository, found[0].stem)
        raise revision_missing(str(repository.id), revision)

    def history(self, repository: Repository, commit: Commit) -> Iterator[Commit]:
        """The commit and its ancestors, newest first."""
        yield commit
        while commit.parent is not None:
            commit = self._read(repository, commit.parent)
            yield commit

    def _read(self, repository: Repository, commit: str) -> Commit:
        try:
            return _read_commit(self._folder(repository.id) / "commits" / f"{commit}.json")
        except FileNotFoundError as error:  # deleted or moved since its refs were read
            raise repository_missing(str(repository.id)) from error

    def commit(
        self,
        repo: RepoId,
        branch: str,
        changes: Iterable[Change],
        *,
        parent: str | None,
        title: str,
        message: str,
        user: str,
    ) -> Commit:
        """All changes or none. Changes that change nothing give the commit that is there."""
        with self.locked(repo):
            repository = self.repository(repo)
            if branch not in repository.branches:
                raise revision_missing(str(repo), branch)
            head = self.resolve(repository, f"refs/heads/{branch}")
            if parent is not None and not head.id.startswith(parent):
                raise stale_parent()
            files = changed_files(repo, head, changes)
            if files == head.files:
                return head
            made = self.write_commit(repo, head.id, title, message, user, files)
            repository.branches[branch] = made.id
            self.publish(repository)
            return made

    def squash(self, repo: RepoId, branch: str, message: str, user: str) -> Commit:
        """The branch's files as one first commit. Tags keep the commits they name."""
        with self.locked(repo):
            repository = self.repository(repo)
            if branch in repository.tags:
                raise HubError(400, f"{repo}: {branch!r} is a tag. Only a branch can be squashed.")
            if branch not in repository.branches:
                raise revision_missing(str(repo), branch)
            head = self.resolve(repository, f"refs/heads/{branch}")
            title, _, rest = message.partition("\n\n")
            made = self.write_commit(repo, None, title, rest, user, head.files)
            repository.branches[branch] = made.id
            self.publish(repository)
            return made

    def write_commit(
        self,
        repo: RepoId,
        parent: str | None,
        title: str,
        message: str,
        user: str,
        files: dict[str, File],
    ) -> Commit:
        folders = gitids.tree_ids({path: file.oid for path, file in files.items()})
        date = now()
        seconds = int(datetime.fromisoformat(date).timestamp())
        text = f"{title}\n\n{message}" if message else title
        oid = gitids.commit_id(folders[""], parent, user, seconds, text)
        made = Commit(oid, parent, title, message, user, date, files, folders)
        path = self._folder(repo) / "commits" / f"{oid}.json"
        write_json(path, asdict(made), self.root / "tmp")
        return made

    # The disk

    def _folder(self, repo: RepoId) -> Path:
        return self.root / "repos" / repo.kind / repo.owner / repo.name

    @contextmanager
    def locked(self, repo: RepoId) -> Iterator[None]:
        """Excludes other threads and other processes; the kernel frees it when a process dies."""
        path = self.root / "locks" / repo.kind / repo.owner / f"{repo.name}.lock"
        make_folder(path.parent)
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def publish(self, repository: Repository) -> None:
        saved = asdict(repository)
        del saved["id"]  # the path says it
        write_json(self._folder(repository.id) / "repo.json", saved, self.root / "tmp")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@functools.lru_cache(maxsize=64)  # a commit never changes, and one with many files is slow to read
def _read_commit(path: Path) -> Commit:
    saved = json.loads(path.read_text())
    files = {name: File(**file) for name, file in saved.pop("files").items()}
    return Commit(files=files, **saved)
