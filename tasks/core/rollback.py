"""An earlier version back on main, by one commit forward in each repository; and cleaning up.

in   owner/name and a version that all three repositories have
out  main holds that version's files again, beside what people put there; tags stay where they are

History is never rewritten. After a crash the same command finishes it.
"""

from tasks.core import staging, trees
from tasks.core.errors import Refused
from tasks.core.peoples_files import of_people
from tasks.core.publish import Repository, exists, repositories, versions


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
    _refuse_begun(name)
    back = []
    for target, main, tagged in found:
        commit, made = trees.commit(
            target,
            "main",
            main,
            _brought_back(target, main, str(tagged)),
            f"Roll back to {version}",
            f"{target.repo}: main moved from {main[:8]} meanwhile; nothing was overwritten. Look "
            "at what changed there and run the same command again.",
        )
        update = {"commit": commit, "version": version, "committed": made}
        back.append(target.model_copy(update=update))
    return back


def _refuse_begun(name: str) -> None:
    """What has some of its tags goes forward first: taken back now, it would be mixed then."""
    targets = repositories(name)
    for number, tagged in versions(name).items():
        there = [one for one in targets if one.part in tagged]
        if len(there) == len(targets):
            continue
        manifests = [trees.manifest_at(one, tagged[one.part]) or {} for one in there]
        if any(manifest.get("version") == f"v{number}" for manifest in manifests):
            missing = ", ".join(one.repo for one in targets if one not in there)
            raise Refused(
                f"v{number}: it was begun and not finished, {missing} has no such tag; nothing was "
                "changed. Run the command again that made it, then roll back; or delete its tags, "
                "and the next release takes its place."
            )


def _brought_back(target: Repository, main: str, tagged: str) -> trees.Stored:
    """The version's own files; what people have on main now is not undone."""
    tree = trees.tree_of(target, tagged)
    ours = {name: tree[name] for name in tree.keys() - of_people(target, tagged, tree)}
    theirs = of_people(target, main, trees.tree_of(target, main))
    return trees.Stored(tagged, ours or tree, kept=theirs)


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
