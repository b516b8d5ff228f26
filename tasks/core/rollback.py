"""An earlier version back on main, by one commit forward in each repository; and cleaning up.

in   owner/name and a version that all three repositories have
out  main holds that version's files again; tags stay where they are

History is never rewritten. After a crash the same command finishes it.
"""

from tasks.core import staging, trees
from tasks.core.errors import Refused
from tasks.core.publish import Repository, exists, repositories


def rollback(name: str, version: str) -> list[Repository]:
    """Each repository as it stands afterwards; `committed` is False where main held it already."""
    found = [(target, *_looked(target, version)) for target in repositories(name)]
    missing = [target.repo for target, _, tagged in found if tagged is None]
    if missing:
        raise Refused(
            f"{version}: {', '.join(missing)} {'has' if len(missing) == 1 else 'have'} no such "
            "tag, so it was never a complete release; nothing was changed. `pairpress plan` shows "
            "what there is."
        )
    back = []
    for target, main, tagged in found:
        commit, made = trees.commit(
            target,
            "main",
            main,
            trees.stored_at(target, str(tagged)),
            f"Roll back to {version}",
            f"{target.repo}: main moved from {main[:8]} meanwhile; nothing was overwritten. Look "
            "at what changed there and run the same command again.",
        )
        update = {"commit": commit, "version": version, "committed": made}
        back.append(target.model_copy(update=update))
    return back


def clean(name: str) -> list[str]:
    """Removes the branches that unfinished releases left, of any version; says which."""
    removed = []
    for target in repositories(name):
        branches = trees.refs_of(target).branches if exists(target) else {}
        for branch in sorted(branches):
            if branch.startswith(staging.BRANCHES) and staging.remove_branch(target, branch):
                removed.append(f"{target.repo}: {branch}")
    return removed


def _looked(target: Repository, version: str) -> tuple[str, str | None]:
    """(head of main, the version's commit)."""
    if not exists(target):
        return "", None
    refs = trees.refs_of(target)
    return refs.branches.get("main", ""), refs.tags.get(version)
