"""What the repositories of a release hold now.

in   owner/name
out  Standing of each part; sentences on what a person should know of them
"""

from pydantic import BaseModel, ConfigDict

from tasks.core import trees
from tasks.core.hub import retrying, writing
from tasks.core.peoples_files import CARD, is_written, of_people, require_free, told
from tasks.core.publish import Repository, Tagged, by_number, exists, repositories
from tasks.core.pull_requests import is_waiting, of_user, title_of
from tasks.core.staging import BRANCHES


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
    tags: dict[str, str] = {}  # of versions: name and commit
    begun: tuple[str, ...] = ()  # branches of releases that were not finished
    proposed: tuple[str, ...] = ()  # pull requests of ours that await approval
    people: tuple[str, ...] = ()  # files on main that no release put there


def look_at(name: str, user: str) -> tuple[Standing, ...]:
    return tuple(_standing(target, user) for target in repositories(name))


def _standing(target: Repository, user: str) -> Standing:
    what = f"release.repository {target.repo}"
    nothing = Standing(part=target.part, repo=target.repo)
    if not exists(target, what):
        return nothing
    api = writing()
    info = retrying(what, lambda: api.repo_info(target.repo, repo_type=target.repo_type))
    refs = trees.refs_of(target)
    tagged = by_number({target.part: refs.tags})
    begun = tuple(branch for branch in refs.branches if branch.startswith(BRANCHES))
    titles = [title_of(branch.removeprefix(BRANCHES), target.part) for branch in begun]
    asked = [one for title in titles for one in of_user(target, user, title)]
    commit = str(info.sha)
    return nothing.model_copy(
        update={
            "exists": True,
            "private": bool(info.private),
            "commit": commit,
            "date": info.last_modified.date().isoformat() if info.last_modified else "",
            "version": f"v{max(tagged)}" if tagged else "",
            "tags": {f"v{number}": at[target.part] for number, at in sorted(tagged.items())},
            "begun": begun,
            "proposed": tuple(one.url for one in asked if is_waiting(one)),
            "people": tuple(sorted(of_people(target, commit, trees.tree_of(target, commit)))),
        }
    )


def versions_in(found: tuple[Standing, ...]) -> Tagged:
    return by_number({one.part: one.tags for one in found})


def require_room(one: Standing) -> None:
    """Raises InputError where a release would overwrite files of people."""
    require_free(one.repo, [name for name in one.people if is_written(one.part, name)])


def notes_on(found: tuple[Standing, ...]) -> list[str]:
    """What somebody began and did not finish, and what people put there."""
    notes = []
    if len({one.version for one in found}) > 1:
        names = ", ".join(f"{one.repo} {one.version or 'has none'}" for one in found)
        notes.append(f"A release was begun and not finished: {names}. The same run finishes it.")
    for one in found:
        notes += [f"{one.repo}: {url} awaits approval." for url in one.proposed]
        if not one.proposed:
            notes += [
                f"{one.repo}: branch {branch} is left of a release that was not finished."
                for branch in one.begun
            ]
        if staying := [n for n in one.people if n != CARD and not is_written(one.part, n)]:
            notes.append(f"{one.repo}: {told(staying)}: no release put it there, and it stays.")
    return notes
