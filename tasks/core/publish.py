"""The repositories of a release: who may write to them, what they hold, and under which version.

in   a release's name, owner/name; the digest of what its stages made
out  its three repositories; the next version; commits and tags

The same bytes make no commit, and what stands on the Hub is looked at before anything is sent, also
after a lost answer: running again finishes what was begun and never does it twice. How a release
gets there: staging.py, then promoting.py.
"""

import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.core import trees
from tasks.core.errors import InputError, Refused
from tasks.core.hub import endpoint, hub_errors, retrying, writing
from tasks.core.models import ModelRef, resolve_model
from tasks.core.trees import RepoType

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
    api = writing()
    me = retrying("the token", api.whoami)
    owners = {me["name"], *(org["name"] for org in me.get("orgs", ()))}
    role = me.get("auth", {}).get("accessToken", {}).get("role", "write")
    full = name if "/" in name else f"{me['name']}/{name}"
    if role == "read":
        raise InputError(
            f"release.repository {full}: the token of {me['name']} may only read. "
            "Set HF_TOKEN, or HF_WRITE_TOKEN, to a token with write access."
        )
    for target in repositories(full):
        if exists(target, f"release.repository {target.repo}"):
            _check_may_write(target)
        elif full.split("/")[0] not in owners:
            raise InputError(
                f"release.repository {target.repo}: {me['name']} may not create it; the token "
                f"writes to {', '.join(sorted(owners))}. Change release.repository or the token."
            )
    return full


def _check_may_write(target: Repository) -> None:
    def ask() -> None:
        writing().auth_check(target.repo, repo_type=target.repo_type, write=True)

    retrying(f"release.repository {target.repo}", ask)


def exists(target: Repository, what: str = "") -> bool:
    def look() -> bool:
        return writing().repo_exists(target.repo, repo_type=target.repo_type)

    return retrying(what or target.repo, look)


def create(target: Repository, private: bool) -> None:
    """Make the repository if it is missing. Raises InputError where a private one is public."""

    def make() -> None:
        writing().create_repo(
            target.repo, repo_type=target.repo_type, private=private, exist_ok=True
        )

    retrying(target.repo, make)
    if private:
        require_private(target)


def require_private(target: Repository) -> None:
    """Raises InputError for a repository that is there, and public."""

    def look() -> bool | None:
        api = writing()
        if not api.repo_exists(target.repo, repo_type=target.repo_type):
            return None
        return bool(api.repo_info(target.repo, repo_type=target.repo_type).private)

    if retrying(target.repo, look) is False:
        raise InputError(
            f"{target.repo} is public on the Hub, and this release is private: nothing was sent. "
            f"Make it private in its settings ({target.url}/settings), or set release.private: "
            "false, which a gated or private upstream does not allow."
        )


def next_version(name: str, content: str, wanted: str | None = None) -> tuple[str, bool]:
    """(version, finished): the release of this content if it stands on the Hub, else the next one.

    A version that a broken run tagged on some repositories only is continued when it is of the same
    content. The merged model's tag is the last to be written: with it a release is finished.
    Raises Refused where the wanted version is taken by other content, or not above the others.
    """
    found = versions(name)
    last = max(found, default=0)
    same = bool(found) and all(
        _content(manifest_at(target, found[last][target.part])) == content
        for target in repositories(name)
        if target.part in found[last]
    )
    number = int(wanted[1:]) if wanted else last if same else last + 1
    if same and number == last:
        return f"v{last}", len(found[last]) == len(repositories(name))
    if number == last:
        raise Refused(
            f"release.version {wanted}: {name} has it already, with other content. Leave it empty "
            f"for the next one, v{last + 1}."
        )
    if number < last:
        raise Refused(
            f"release.version {wanted}: {name} is at v{last}, and versions only go up. Leave it "
            f"empty for v{last + 1}; `pairpress rollback` brings an earlier one back."
        )
    return f"v{number}", False


def versions(name: str) -> dict[int, dict[str, str]]:
    """Number: {part: commit} of every version that is tagged on any of the three."""
    found: dict[int, dict[str, str]] = {}
    for target in repositories(name):
        tags = trees.refs_of(target).tags if exists(target) else {}
        for tag_name, commit in tags.items():
            if number := VERSION.fullmatch(tag_name):
                found.setdefault(int(number[1]), {})[target.part] = commit
    return found


def last_manifest(name: str) -> dict[str, Any] | None:
    """release.json of the highest version of the merged model, whose tag is written last."""
    model = repositories(name)[-1]
    tagged = {number: at["model"] for number, at in versions(name).items() if "model" in at}
    return manifest_at(model, tagged[max(tagged)]) if tagged else None


def last_release(name: str) -> ModelRef | None:
    """The merged model of the highest version; its tag is written last, so that one is complete."""
    tagged = [number for number, at in versions(name).items() if "model" in at]
    model = repositories(name)[-1]
    return resolve_model(model.repo, f"v{max(tagged)}", "last release") if tagged else None


def manifest_at(target: trees.Address, commit: str) -> dict[str, Any] | None:
    """release.json at a commit; None where there is none, or one that somebody else wrote."""
    from huggingface_hub.errors import RemoteEntryNotFoundError

    def fetch() -> str | None:
        try:  # by commit: what the cache holds under it cannot be stale
            return writing().hf_hub_download(
                target.repo, "release.json", repo_type=target.repo_type, revision=commit
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


def _content(manifest: dict[str, Any] | None) -> str | None:
    return manifest.get("content") if manifest else None


def commit_repository(target: Repository, folder: Path, message: str) -> Repository:
    """One commit on main that makes the repository hold exactly `folder`; none if it does already.

    Raises Refused when main moved in between.
    """
    head = trees.head_of(target)
    commit, made = trees.commit(
        target,
        "main",
        head,
        trees.files_below(folder),
        message,
        f"{target.repo}: main moved from {head[:8]} meanwhile; nothing was overwritten. Run again.",
    )
    return target.model_copy(update={"commit": commit, "committed": made})


def tag(target: Repository, version: str) -> Repository:
    """Give the commit its version; a tag that stands already must stand on this commit."""
    from huggingface_hub.errors import HfHubHTTPError

    def attempt() -> None:
        standing = trees.refs_of(target).tags.get(version)
        if standing == target.commit:
            return
        if standing is not None:
            raise Refused(
                f"{target.repo}: tag {version} stands on commit {standing[:8]}, not on "
                f"{target.commit[:8]}. Another run published it; run again for the next version."
            )
        try:
            writing().create_tag(
                target.repo, tag=version, revision=target.commit, repo_type=target.repo_type
            )
        except HfHubHTTPError as error:
            taken = error.response is not None and error.response.status_code in trees.MOVED
            if not taken or version not in trees.refs_of(target).tags:
                raise
            attempt()

    retrying(f"{target.repo}, tag {version}", attempt)
    return target.model_copy(update={"version": version})


def published(target: Repository, version: str) -> Repository:
    """A repository as it stands under a version."""
    with hub_errors(f"{target.repo}@{version}"):
        commit = trees.head_of(target, version)
    return target.model_copy(update={"commit": commit, "version": version})
