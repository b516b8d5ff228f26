"""A staged and verified release -> main and a tag, in one repository after the other.

in   Placed: the staged commits, and the heads of main on which they stand
out  one commit on main of each repository with the very same files, then its tag

Nothing moves main back, so this goes forward only: after a crash the same command finishes it. The
merged model goes last, and with its tag the release exists. A main that moved in between, or a tag
that somebody else wrote, is a conflict: all of them are looked for before anything is changed.
"""

from collections.abc import Sequence

from tasks.core import staging, trees
from tasks.core.errors import Refused
from tasks.core.publish import Repository, cleaning, require_same_under, tag
from tasks.core.staging import Placed


def promote_all(
    placed: Sequence[Placed], version: str, messages: dict[str, str]
) -> list[Repository]:
    """Data set, adapter, merged model, in the order in which they are given."""
    look(placed, version)
    return [promote(place, version, messages[place.part]) for place in placed]


def look(placed: Sequence[Placed], version: str) -> None:
    """Raises Refused for a conflict in any of the repositories; changes nothing."""
    for place in placed:
        staged = trees.stored_at(place, place.commit)
        refs = trees.refs_of(place)
        if _stands(place, staged, refs.tags.get(version), version):
            continue
        main = refs.branches["main"]
        if main != place.head and not trees.holds(place, main, staged):
            raise Refused(_conflict(place, version))


def promote(place: Placed, version: str, message: str) -> Repository:
    """One commit on main, none where it holds these files already; every path compared; the tag."""
    staged = trees.stored_at(place, place.commit)
    target = Repository(part=place.part, repo=place.repo, repo_type=place.repo_type)
    standing = trees.refs_of(place).tags.get(version)
    if standing is not None and _stands(place, staged, standing, version):
        return target.model_copy(update={"commit": standing, "version": version})
    commit, made = trees.commit(
        place, "main", place.head, staged, message, _conflict(place, version)
    )
    return tag(target.model_copy(update={"commit": commit, "committed": made}), version)


def remove_branches(targets: Sequence[trees.Address], version: str) -> list[str]:
    """The release branches of a version that is complete; says which there were."""
    branch = staging.branch_of(version)
    return [f"{at.repo}: {branch}" for at in targets if staging.remove_branch(at, branch)]


def _stands(place: Placed, staged: trees.Stored, standing: str | None, version: str) -> bool:
    """Whether the tag is written; raises Refused where it stands on other files."""
    if standing is None:
        return False
    require_same_under(version, place, standing, staged)
    return True


def _conflict(place: Placed, version: str) -> str:
    return (
        f"{place.repo}: main moved since {version} was staged on {place.head[:8]}; nothing was "
        f"overwritten. Look at what changed there, then {cleaning(place)} and run again: "
        "the release is staged anew on what main holds now."
    )
