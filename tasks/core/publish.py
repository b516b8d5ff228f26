"""A finished release -> three repositories on the Hub: one commit each, then one tag each.

in   local folders with everything a repository will hold, release.json among them
out  commit sha and tag of each

The same bytes make no commit: what stands on the Hub is compared with the local files first, also
after a lost answer, so that running again finishes what was begun and never does it twice.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tasks.core.errors import InputError, Refused
from tasks.core.hub import endpoint, hub_errors
from tasks.core.models import ModelRef, resolve_model
from tasks.core.stage import file_digest

RepoType = Literal["dataset", "model"]
VERSION = re.compile(r"v([1-9]\d*)")


class Repository(BaseModel):
    """Where one part of a release goes, or went (then with commit and version)."""

    model_config = ConfigDict(frozen=True)

    part: str  # data set, adapter, merged model
    repo: str
    repo_type: RepoType
    commit: str = ""
    version: str = ""
    committed: bool = False  # False: the Hub already held these bytes

    @property
    def url(self) -> str:
        prefix = "datasets/" if self.repo_type == "dataset" else ""
        return f"{endpoint()}/{prefix}{self.repo}"


def repositories(name: str) -> list[Repository]:
    """The three repositories of a release, in the order of publishing: merged model last."""
    return [
        Repository(part="dataset", repo=f"{name}-pairs", repo_type="dataset"),
        Repository(part="adapter", repo=f"{name}-adapter", repo_type="model"),
        Repository(part="model", repo=name, repo_type="model"),
    ]


def preflight(name: str) -> str:
    """Try the token and its write access before anything costs; returns the full name, owner/name.

    Nothing is created: a repository that is missing is judged by who owns its namespace.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with hub_errors("the token"):
        me = api.whoami()
    owners = {me["name"], *(org["name"] for org in me.get("orgs", ()))}
    role = me.get("auth", {}).get("accessToken", {}).get("role", "write")
    full = name if "/" in name else f"{me['name']}/{name}"
    if role == "read":
        raise InputError(
            f"release.repository {full}: the token of {me['name']} may only read. "
            "Set HF_TOKEN to a token with write access."
        )
    for target in repositories(full):
        with hub_errors(f"release.repository {target.repo}"):
            exists = api.repo_exists(target.repo, repo_type=target.repo_type)
            if exists:
                api.auth_check(target.repo, repo_type=target.repo_type, write=True)
        if not exists and full.split("/")[0] not in owners:
            raise InputError(
                f"release.repository {target.repo}: {me['name']} may not create it; the token "
                f"writes to {', '.join(sorted(owners))}. Change release.repository or the token."
            )
    return full


def create(target: Repository, private: bool) -> None:
    """Make the repository if it is missing."""
    from huggingface_hub import HfApi

    with hub_errors(f"{target.repo}"):
        HfApi().create_repo(target.repo, repo_type=target.repo_type, private=private, exist_ok=True)


def next_version(name: str, digest: str) -> tuple[str, bool]:
    """(version, finished): the release of this digest if it stands on the Hub, else the next one.

    A version that a broken run tagged on some repositories only is continued when it is of the same
    digest. The merged model's tag is the last to be written: with it a release is finished.
    """
    found: dict[int, set[str]] = {}
    for target in repositories(name):
        for number in _versions(target):
            found.setdefault(number, set()).add(target.part)
    if not found:
        return "v1", False
    last = max(found)
    same = all(
        _released_digest(target, f"v{last}") == digest
        for target in repositories(name)
        if target.part in found[last]
    )
    finished = {target.part for target in repositories(name)} == found[last]
    return (f"v{last}", finished) if same else (f"v{last + 1}", False)


def last_release(name: str) -> ModelRef | None:
    """The merged model of the highest version; its tag is written last, so that one is complete."""
    model = next(target for target in repositories(name) if target.part == "model")
    versions = _versions(model)
    return resolve_model(model.repo, f"v{max(versions)}", "last release") if versions else None


def commit_repository(target: Repository, folder: Path, message: str) -> Repository:
    """One commit on main that makes the repository hold exactly `folder`; none if it does already.

    Raises InputError when main moved in between.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi()
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    with hub_errors(f"{target.repo}"):
        head = api.repo_info(target.repo, repo_type=target.repo_type).sha
        remote = _remote_files(target, str(head))
        changed = [name for name, path in files.items() if not _holds(remote.get(name), path)]
        gone = [name for name in remote if name not in files and name != ".gitattributes"]
        committed = bool(changed or gone)
        if committed:
            operations: list[Any] = [
                CommitOperationAdd(path_in_repo=name, path_or_fileobj=files[name])
                for name in changed
            ]
            operations += [CommitOperationDelete(path_in_repo=name) for name in gone]
            commit = api.create_commit(
                target.repo,
                operations,
                commit_message=message,
                repo_type=target.repo_type,
                parent_commit=head,
            )
            head = commit.oid
    _compare(target, str(head), files)
    return target.model_copy(update={"commit": str(head), "committed": committed})


def tag(target: Repository, version: str) -> Repository:
    """Give the commit its version; a tag that stands already must stand on this commit."""
    from huggingface_hub import HfApi

    api = HfApi()
    with hub_errors(f"{target.repo}, tag {version}"):
        refs = api.list_repo_refs(target.repo, repo_type=target.repo_type)
        standing = {ref.name: ref.target_commit for ref in refs.tags}
        if version not in standing:
            api.create_tag(
                target.repo, tag=version, revision=target.commit, repo_type=target.repo_type
            )
        elif standing[version] != target.commit:
            raise Refused(
                f"{target.repo}: tag {version} stands on commit {standing[version][:8]}, not on "
                f"{target.commit[:8]}. Another run published it; run again for the next version."
            )
    return target.model_copy(update={"version": version})


def published(target: Repository, version: str) -> Repository:
    """A repository as it stands under a version."""
    from huggingface_hub import HfApi

    with hub_errors(f"{target.repo}@{version}"):
        info = HfApi().repo_info(target.repo, repo_type=target.repo_type, revision=version)
    return target.model_copy(update={"commit": str(info.sha), "version": version})


def _versions(target: Repository) -> list[int]:
    from huggingface_hub import HfApi

    with hub_errors(target.repo):
        if not HfApi().repo_exists(target.repo, repo_type=target.repo_type):
            return []
        tags = HfApi().list_repo_refs(target.repo, repo_type=target.repo_type).tags
    return [int(found[1]) for ref in tags if (found := VERSION.fullmatch(ref.name))]


def _released_digest(target: Repository, version: str) -> str | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        with hub_errors(f"{target.repo}@{version}"):
            path = hf_hub_download(
                target.repo, "release.json", repo_type=target.repo_type, revision=version
            )
    except InputError as error:
        if isinstance(error.__cause__, EntryNotFoundError):
            return None  # a tag that somebody else made
        raise
    try:
        digest: str | None = json.loads(Path(path).read_text())["digest"]
    except (ValueError, KeyError, TypeError):
        return None  # a release.json that somebody else wrote
    return digest


def _remote_files(target: Repository, commit: str) -> dict[str, Any]:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    tree = HfApi().list_repo_tree(
        target.repo, recursive=True, revision=commit, repo_type=target.repo_type
    )
    return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}


def _compare(target: Repository, commit: str, files: dict[str, Path]) -> None:
    """Every path on the Hub against the local file; nothing is tagged on unverified bytes."""
    with hub_errors(f"{target.repo}@{commit[:8]}"):
        remote = _remote_files(target, commit)
    for name, path in files.items():
        if not _holds(remote.get(name), path):
            raise Refused(
                f"{target.repo}@{commit[:8]}: {name} is not what was sent. "
                "Nothing was tagged; run the same command again."
            )


def _holds(entry: Any, path: Path) -> bool:
    """Whether a remote file has these bytes: sha256 for LFS files, git's blob id for others."""
    if entry is None:
        return False
    if entry.lfs is not None:
        return bool(entry.lfs.sha256 == file_digest(path))
    data = path.read_bytes()
    return bool(entry.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest())


def _files(folder: Path) -> list[Path]:
    """All files below a folder but a stage's own done.json, which names local things."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "done.json")
