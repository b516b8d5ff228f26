"""A staged release -> a pull request in each repository, for a person to merge or to close.

in   the staged commits, and the evaluation as a description
out  number and status of each pull request
     https://huggingface.co/docs/hub/repositories-pull-requests-discussions

Approval only: a merge squashes and takes no expected head, so afterwards promoting compares every
file of main with the verified ones and writes the tags.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tasks.core import promoting, trees
from tasks.core.errors import Refused
from tasks.core.hub import retrying, writing
from tasks.core.staging import Placed

Status = Literal["open", "merged"]


class Proposal(BaseModel):
    """A pull request that proposes one part of a release."""

    model_config = ConfigDict(frozen=True)

    part: str
    repo: str
    number: int
    url: str
    status: Status


def propose(placed: list[Placed], version: str, description: str) -> list[Proposal]:
    """Found again by title and files on a second run, never made twice.

    Raises Refused where main moved, and where a person closed one or changed what it proposes.
    """
    promoting.look(placed, version)
    return [_proposed(place, f"Release {version}: {place.part}", description) for place in placed]


def _proposed(place: Placed, title: str, description: str) -> Proposal:
    staged = trees.stored_at(place, place.commit)

    def attempt() -> Proposal:
        found = _find(place, title, staged)
        if found is not None:
            return found
        changed, gone = trees.differing(staged, trees.tree_of(place, place.head))
        writing().create_commit(
            place.repo,
            trees.operations(staged, changed, gone),
            commit_message=title,
            commit_description=description,
            repo_type=place.repo_type,
            parent_commit=place.head,
            create_pr=True,
        )
        made = _find(place, title, staged)
        if made is None:
            raise Refused(
                f"{place.repo}: the pull request {title!r} does not hold what was sent. Close it "
                "and run the same command again."
            )
        return made

    return retrying(f"{place.repo}, pull request", attempt)


def _find(place: Placed, title: str, staged: trees.Stored) -> Proposal | None:
    """The pull request of this title and these files, whatever became of it."""
    for found in _pull_requests(place):
        if found.title != title:
            continue
        waiting = found.status in ("open", "draft")
        if trees.holds(place, f"refs/pr/{found.num}", staged):
            if not waiting and found.status != "merged":
                raise Refused(
                    f"{place.repo}: somebody closed the pull request {title!r} ({found.url}): this "
                    "release was not approved. Open it again to approve it after all."
                )
            return Proposal(
                part=place.part,
                repo=place.repo,
                number=found.num,
                url=found.url,
                status="open" if waiting else "merged",
            )
        if waiting:
            raise Refused(
                f"{place.repo}: the pull request {title!r} ({found.url}) holds other files than "
                "the verified ones. Close it and run the same command again."
            )
    return None


def _pull_requests(place: Placed) -> list[Any]:
    """huggingface_hub's Discussion, newest first."""

    def look() -> list[Any]:
        found = writing().get_repo_discussions(
            place.repo, repo_type=place.repo_type, discussion_type="pull_request"
        )
        return sorted(found, key=lambda one: one.num, reverse=True)

    return retrying(f"{place.repo}, pull requests", look)
