"""What the repositories of a release hold now, and the version that comes next.

in   owner/name
out  Standing of each part; sentences on what a person should know of them
"""

import re

from pydantic import BaseModel, ConfigDict

from tasks.core.errors import InputError
from tasks.core.hub import retrying, writing
from tasks.core.publish import Repository, repositories

VERSION = re.compile(r"v([1-9]\d*)")
BRANCH = "release/"


class Standing(BaseModel):
    """One repository; empty where there is none."""

    model_config = ConfigDict(frozen=True)

    part: str
    repo: str
    exists: bool = False
    private: bool = False
    commit: str = ""
    date: str = ""  # of that commit
    version: str = ""  # the highest
    begun: tuple[str, ...] = ()  # branches of releases that were not finished


def user() -> str:
    """Whose token publishes."""
    return str(retrying("the token", lambda: writing().whoami())["name"])


def look_at(name: str) -> tuple[Standing, ...]:
    return tuple(_standing(target) for target in repositories(name))


def _standing(target: Repository) -> Standing:
    api, repo, kind = writing(), target.repo, target.repo_type
    what = f"release.repository {repo}"
    nothing = Standing(part=target.part, repo=repo)
    if not retrying(what, lambda: api.repo_exists(repo, repo_type=kind)):
        return nothing
    info = retrying(what, lambda: api.repo_info(repo, repo_type=kind))
    refs = retrying(what, lambda: api.list_repo_refs(repo, repo_type=kind))
    numbers = [int(met[1]) for ref in refs.tags if (met := VERSION.fullmatch(ref.name))]
    return nothing.model_copy(
        update={
            "exists": True,
            "private": bool(info.private),
            "commit": str(info.sha),
            "date": info.last_modified.date().isoformat() if info.last_modified else "",
            "version": f"v{max(numbers)}" if numbers else "",
            "begun": tuple(r.name for r in refs.branches if r.name.startswith(BRANCH)),
        }
    )


def next_version(found: tuple[Standing, ...], wanted: str | None) -> str:
    """The one set, or the next after the highest tag of any part. Raises InputError for one that
    is passed already."""
    highest = max((_number(one.version) for one in found), default=0)
    if wanted is None:
        return f"v{highest + 1}" if found else ""
    if _number(wanted) < highest:
        raise InputError(
            f"release.version {wanted}: v{highest} stands already, and versions only rise. Leave "
            f"release.version out for v{highest + 1}."
        )
    return wanted


def notes_on(found: tuple[Standing, ...], wanted: str | None) -> list[str]:
    """A version that is taken, and what somebody began and did not finish."""
    notes = []
    if wanted and any(one.version == wanted for one in found):
        notes.append(
            f"release.version: {wanted} stands already. Only the very same content is released "
            "under it; any other is refused."
        )
    versions = {one.version for one in found}
    if len(versions) > 1:
        told = ", ".join(f"{one.repo} {one.version or 'has none'}" for one in found)
        notes.append(f"A release was begun and not finished: {told}. The same run finishes it.")
    for one in found:
        for branch in one.begun:
            notes.append(f"{one.repo}: branch {branch} is left of a release that was not finished.")
    return notes


def _number(version: str) -> int:
    met = VERSION.fullmatch(version)
    return int(met[1]) if met else 0
