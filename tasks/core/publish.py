"""The repositories of a release: who may write to them, what they hold, and under which version.

in   a release's name, owner/name; the digest of what its stages made
out  its three repositories; the next version; commits and tags

The same bytes make no commit, and what stands on the Hub is looked at before anything is sent, also
after a lost answer: running again finishes what was begun and never does it twice. How a release
gets there: staging.py, then promoting.py. It is long because versions, which are all about what
those repositories hold, are told here as well.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from tasks.core import trees
from tasks.core.errors import InputError, Refused
from tasks.core.hub import LOOPBACK, endpoint, retrying, writing
from tasks.core.models import ModelRef, resolve_model
from tasks.core.trees import RepoType
from tasks.core.user import User, whoami

VERSION = re.compile(r"v([1-9]\d*)")
FIRST = "initial commit"  # the Hub's own, which makes a repository


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


def cleaning(target: trees.Address) -> str:
    """The command that removes what an unfinished release left, for the one of `target`."""
    parts = {one.part: one.repo for one in repositories("")}
    name = target.repo.removesuffix(parts[target.part])
    here = " --local" if urlsplit(endpoint()).hostname in LOOPBACK else ""
    return f"`pairpress clean --of {name}{here}`"


def repositories(name: str) -> list[Repository]:
    """The three repositories of a release, in the order of publishing: merged model last."""
    return [
        Repository(part="dataset", repo=f"{name}-pairs", repo_type="dataset"),
        Repository(part="adapter", repo=f"{name}-adapter", repo_type="model"),
        Repository(part="model", repo=name, repo_type="model"),
    ]


def preflight(name: str, me: User | None = None) -> str:
    """Try the token and its write access before anything costs; returns the full name, owner/name.

    Nothing is created: a repository that is missing is judged by who owns its namespace. `me`: if
    whoami has answered already.
    """
    me = me or whoami()
    full = name if "/" in name else f"{me.name}/{name}"
    if not me.writes:
        raise InputError(
            f"release.repository {full}: the token of {me.name} may only read. "
            "Set HF_TOKEN, or HF_WRITE_TOKEN, to a token with write access."
        )
    for target in repositories(full):
        if exists(target, f"release.repository {target.repo}"):
            _check_may_write(target)
        elif full.split("/")[0] not in me.owners:
            raise InputError(
                f"release.repository {target.repo}: {me.name} may not create it; the token "
                f"writes to {', '.join(sorted(me.owners))}. Change release.repository or the token."
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


Tagged = Mapping[int, Mapping[str, str]]  # number: {part: commit} of versions on any of the three


def next_version(name: str, content: str, wanted: str | None = None) -> tuple[str, bool]:
    """(version, finished): the release of this content if it stands on the Hub, else the next one.

    A version that a broken run tagged on some repositories only is continued when it is of the same
    content. The merged model's tag is the last to be written: with it a release is finished.
    Raises Refused where the wanted version is taken by other content, or not above the others.
    """
    tagged = versions(name)
    return _following(name, tagged, wanted, _last_content(name, tagged) == content)


def version_ahead(name: str, tagged: Tagged, wanted: str | None) -> str:
    """In words, before the content is known. Raises Refused where no content can have it."""
    if _last_content(name, tagged) is None:
        return _following(name, tagged, wanted, False)[0]
    same, _ = _following(name, tagged, wanted, True)
    if wanted == f"v{max(tagged)}":
        return f"{same} if its content is the same, else refused"
    other, _ = _following(name, tagged, wanted, False)
    return same if same == other else f"{same} if its content is the same, else {other}"


def _following(name: str, tagged: Tagged, wanted: str | None, same: bool) -> tuple[str, bool]:
    """`same`: as the content of the highest version."""
    last = max(tagged, default=0)
    number = int(wanted[1:]) if wanted else last if same else last + 1
    if same and number == last:
        return f"v{last}", is_complete(tagged[last])
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


def _last_content(name: str, tagged: Tagged) -> str | None:
    """Of the highest version, where all that it was written to so far say the same."""
    if not tagged:
        return None
    at = tagged[max(tagged)]
    found = {
        (trees.manifest_at(target, at[target.part]) or {}).get("content")
        for target in repositories(name)
        if target.part in at
    }
    return found.pop() if len(found) == 1 else None


def versions(name: str) -> Tagged:
    return by_number(
        {
            target.part: trees.refs_of(target).tags if exists(target) else {}
            for target in repositories(name)
        }
    )


def by_number(tags: Mapping[str, Mapping[str, str]]) -> Tagged:
    """`tags`: by part, name and commit of each."""
    found: dict[int, dict[str, str]] = {}
    for part, named in tags.items():
        for tag_name, commit in named.items():
            if number := VERSION.fullmatch(tag_name):
                found.setdefault(int(number[1]), {})[part] = commit
    return found


def is_complete(at: Mapping[str, str]) -> bool:
    """Whether a version has the tags of all three repositories."""
    return set(at) == {target.part for target in repositories("any/name")}


def last_complete(name: str, tagged: Tagged) -> tuple[int, dict[str, Any]] | None:
    """(number, release.json) of the highest version that is whole; somebody else's tags are not."""
    model = repositories(name)[-1]
    for number in sorted(tagged, reverse=True):
        if is_complete(tagged[number]):
            manifest = trees.manifest_at(model, tagged[number][model.part])
            if manifest is not None and "content" in manifest:
                return number, manifest
    return None


def last_manifest(name: str) -> dict[str, Any] | None:
    """release.json of the last release that is whole."""
    found = last_complete(name, versions(name))
    return found[1] if found else None


def last_release(name: str) -> ModelRef | None:
    """The merged model of the last release that is whole."""
    found = last_complete(name, versions(name))
    model = repositories(name)[-1]
    return resolve_model(model.repo, f"v{found[0]}", "last release") if found else None


def commit_repository(target: Repository, folder: Path, message: str) -> Repository:
    """One commit on main that makes the repository hold exactly `folder`; none if it does already.

    For what we make up ourselves. Raises InputError where anybody else has committed, and Refused
    when main moved in between.
    """
    head = trees.head_of(target)
    files = trees.files_below(folder)
    if trees.holds(target, head, files):
        return target.model_copy(update={"commit": head})
    for one in trees.history_of(target, head):
        if one.title not in (message, FIRST):
            raise InputError(
                f"{target.repo}: is somebody's own ({one.title!r}), and would be overwritten with "
                f"{message!r}; nothing was changed. Choose another name for it, or delete it."
            )
    commit, made = trees.commit(
        target,
        "main",
        head,
        files,
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


def require_same_under(
    version: str, target: trees.Address, commit: str, wanted: trees.Wanted
) -> None:
    """Raises Refused where a tag stands on other files than are to get it."""
    if not trees.holds(target, commit, wanted):
        raise Refused(
            f"{target.repo}: tag {version} stands on commit {commit[:8]}, which holds other files: "
            "an earlier try, or another run, published it. Set release.version to the next one "
            "and run again."
        )


def published(target: Repository, version: str) -> Repository:
    """A repository as it stands under a version."""
    commit = trees.head_of(target, version)
    return target.model_copy(update={"commit": commit, "version": version})
