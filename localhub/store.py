"""Repositories on disk: contents by sha256, commits as JSON, one small JSON file each for the refs.

in   streams of bytes, changes to paths, names of branches and tags
out  below the root, each file whole or absent, also after kill -9 or with two servers on one root:
         blobs/ab/cdef...                        a content, named by its sha256
         repos/{kind}/{owner}/{name}/repo.json   private, created, branches, tags: published by one
                                                 os.replace under locks/, so it is what counts
         repos/{kind}/{owner}/{name}/commits/{id}.json
         tmp/                                    what is still being received
The ids are git's own (gitids.py). Deleting a repository leaves its contents in blobs/.
"""

import fcntl
import functools
import hashlib
import json
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from localhub import gitids
from localhub.disk import Incoming, make_folder, sync_folder, write_json
from localhub.errors import HubError, entry_missing, repository_missing, revision_missing
from localhub.records import (
    Change,
    Commit,
    File,
    RepoId,
    Repository,
    check_path,
    check_ref_name,
    check_repo_name,
)

_ABANDONED_S = 24 * 3600  # what a killed server was receiving is cleared away a day later


class Store:
    def __init__(self, root: Path) -> None:
        self.root = root
        make_folder(root / "tmp")
        for left in (root / "tmp").iterdir():
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(left) if left.is_dir() else left.unlink()

    # Contents

    def blob(self, sha256: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise HubError(400, f"{sha256!r} is no sha256: 64 lower case hexadecimal digits.")
        return self.root / "blobs" / sha256[:2] / sha256[2:]

    def has_blob(self, sha256: str, size: int | None = None) -> bool:
        path = self.blob(sha256)
        return path.is_file() and (size is None or path.stat().st_size == size)

    def receive(self, sha256: str, size: int) -> Incoming:
        return Incoming(self.root / "tmp" / secrets.token_hex(16), self.blob(sha256), sha256, size)

    def keep(self, content: bytes) -> File:
        """A content small enough to be handed over whole, as a regular file."""
        sha256 = hashlib.sha256(content).hexdigest()
        if not self.has_blob(sha256):
            with self.receive(sha256, len(content)) as incoming:
                incoming.write(content)
                incoming.finish()
        return File(gitids.blob_id(content), len(content), sha256, lfs=False)

    def large_file(self, sha256: str, size: int | None) -> File:
        if not self.has_blob(sha256, size):
            raise HubError(
                400, f"LFS object {sha256} ({size} bytes) is not here: upload it before the commit."
            )
        size = self.blob(sha256).stat().st_size
        pointer = gitids.lfs_pointer(sha256, size)
        return File(gitids.blob_id(pointer), size, sha256, lfs=True)

    # Repositories

    def repository(self, repo: RepoId) -> Repository:
        try:
            check_repo_name(repo)
            saved = json.loads((self._folder(repo) / "repo.json").read_text())
        except (ValueError, FileNotFoundError) as error:
            raise repository_missing(str(repo)) from error
        return Repository(repo, **saved)

    def repositories(self) -> list[Repository]:
        paths = (self.root / "repos").glob("*/*/*/repo.json")
        return [self.repository(RepoId(*path.parts[-4:-1])) for path in sorted(paths)]

    def create(self, repo: RepoId, private: bool, user: str, files: dict[str, File]) -> None:
        try:
            check_repo_name(repo)
        except ValueError as error:
            raise HubError(400, str(error)) from error
        with self._locked(repo):
            if (self._folder(repo) / "repo.json").exists():
                raise HubError(409, f"{repo} exists already.")
            first = self._write_commit(repo, None, "initial commit", "", user, files)
            self._publish(Repository(repo, private, first.date, {"main": first.id}, {}))

    def delete(self, repo: RepoId) -> None:
        with self._locked(repo):
            self.repository(repo)
            gone = self.root / "tmp" / secrets.token_hex(16)
            self._folder(repo).rename(gone)
            sync_folder(self._folder(repo).parent)
        shutil.rmtree(gone)

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
        with self._locked(repo):
            repository = self.repository(repo)
            # One name, one meaning: a tag called like a branch would read as the branch.
            for taken, names in (("branch", repository.branches), ("tag", repository.tags)):
                if name in names:
                    raise HubError(409, f"{repo}: the {taken} {name!r} exists already.")
            refs = repository.branches if sort == "branch" else repository.tags
            refs[name] = self.resolve(repository, start).id
            self._publish(repository)

    def delete_branch(self, repo: RepoId, name: str) -> None:
        if name == "main":
            raise HubError(
                403, f"{repo}: the branch 'main' cannot be deleted, only the repository."
            )
        self._delete_ref(repo, "branch", name)

    def delete_tag(self, repo: RepoId, name: str) -> None:
        self._delete_ref(repo, "tag", name)

    def _delete_ref(self, repo: RepoId, sort: str, name: str) -> None:
        with self._locked(repo):
            repository = self.repository(repo)
            refs = repository.branches if sort == "branch" else repository.tags
            if refs.pop(name, None) is None:
                raise revision_missing(str(repo), name)
            self._publish(repository)

    # Commits

    def resolve(self, repository: Repository, revision: str) -> Commit:
        """A branch, a tag, refs/heads/.., refs/tags/.., or a commit id from 7 digits on."""
        refs = {f"refs/tags/{name}": commit for name, commit in repository.tags.items()}
        refs |= {f"refs/heads/{name}": commit for name, commit in repository.branches.items()}
        refs |= repository.tags | repository.branches
        commits = self._folder(repository.id) / "commits"
        if revision in refs:
            return _read_commit(commits / f"{refs[revision]}.json")
        if re.fullmatch(r"[0-9a-f]{7,40}", revision):
            found = list(commits.glob(f"{revision}*.json"))
            if len(found) == 1:
                return _read_commit(found[0])
        raise revision_missing(str(repository.id), revision)

    def history(self, repository: Repository, commit: Commit) -> Iterator[Commit]:
        """The commit and its ancestors, newest first."""
        commits = self._folder(repository.id) / "commits"
        yield commit
        while commit.parent is not None:
            commit = _read_commit(commits / f"{commit.parent}.json")
            yield commit

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
        with self._locked(repo):
            repository = self.repository(repo)
            if branch not in repository.branches:
                raise revision_missing(str(repo), branch)
            head = self.resolve(repository, f"refs/heads/{branch}")
            if parent is not None and not head.id.startswith(parent):
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            files = dict(head.files)
            for change in changes:
                _apply(change, files, repo, head.id)
            _check_folders(files, repo)
            if files == head.files:
                return head
            made = self._write_commit(repo, head.id, title, message, user, files)
            repository.branches[branch] = made.id
            self._publish(repository)
            return made

    def _write_commit(
        self,
        repo: RepoId,
        parent: str | None,
        title: str,
        message: str,
        user: str,
        files: dict[str, File],
    ) -> Commit:
        folders = gitids.tree_ids({path: file.oid for path, file in files.items()})
        now = datetime.now(UTC)
        text = f"{title}\n\n{message}" if message else title
        oid = gitids.commit_id(folders[""], parent, user, int(now.timestamp()), text)
        date = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        made = Commit(oid, parent, title, message, user, date, files, folders)
        path = self._folder(repo) / "commits" / f"{oid}.json"
        write_json(path, asdict(made), self.root / "tmp")
        return made

    # The disk

    def _folder(self, repo: RepoId) -> Path:
        return self.root / "repos" / repo.kind / repo.owner / repo.name

    @contextmanager
    def _locked(self, repo: RepoId) -> Iterator[None]:
        """Excludes other threads and other processes; the kernel frees it when a process dies."""
        path = self.root / "locks" / repo.kind / repo.owner / f"{repo.name}.lock"
        make_folder(path.parent)
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _publish(self, repository: Repository) -> None:
        saved = asdict(repository)
        del saved["id"]  # the path says it
        write_json(self._folder(repository.id) / "repo.json", saved, self.root / "tmp")


@functools.lru_cache(maxsize=64)  # a commit never changes, and one with many files is slow to read
def _read_commit(path: Path) -> Commit:
    saved = json.loads(path.read_text())
    files = {name: File(**file) for name, file in saved.pop("files").items()}
    return Commit(files=files, **saved)


def _apply(change: Change, files: dict[str, File], repo: RepoId, head: str) -> None:
    path = change.path
    if change.file is not None:
        try:
            check_path(path)
        except ValueError as error:
            raise HubError(400, str(error)) from error
        files[path] = change.file
    elif change.folder:
        below = [name for name in files if name.startswith(f"{path.rstrip('/')}/")]
        if not below:
            raise entry_missing(str(repo), path, head)
        for name in below:
            del files[name]
    elif files.pop(path, None) is None:
        # The client looks for these words to explain how it tells files from folders.
        raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound", head)


def _check_folders(files: dict[str, File], repo: RepoId) -> None:
    for path in files:
        folder = path
        while folder := folder.rpartition("/")[0]:
            if folder in files:
                raise HubError(
                    400, f"{repo}: {folder!r} would be a file and the folder of {path!r}."
                )
