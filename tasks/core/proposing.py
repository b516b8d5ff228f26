"""A staged release -> a pull request in each repository, for a person to merge or to close.

in   the staged commits, and the evaluation as a description
out  number and status of each pull request
     https://huggingface.co/docs/hub/repositories-pull-requests-discussions

Approval only: a merge squashes and takes no expected head, so afterwards promoting compares every
file of main with the verified ones and writes the tags.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from tasks.core import promoting, trees
from tasks.core.errors import Refused
from tasks.core.hub import retrying, writing
from tasks.core.pull_requests import is_waiting, of_user, title_of
from tasks.core.staging import Placed
from tasks.core.user import whoami

LONGEST = 65_536  # characters that the Hub takes as one comment
CUT = "\n\n(Cut here: the Hub takes no longer comment. The release's cards hold the figures.)"
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
    user = whoami().name
    if len(description) > LONGEST:
        description = description[: LONGEST - len(CUT)] + CUT
    return [_proposed(one, user, title_of(version, one.part), description) for one in placed]


def _proposed(place: Placed, user: str, title: str, description: str) -> Proposal:
    staged = trees.stored_at(place, place.commit)

    def attempt() -> Proposal:
        found = _find(place, user, title, staged)
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
        made = _find(place, user, title, staged)
        if made is None:
            raise Refused(
                f"{place.repo}: the pull request {title!r} does not hold what was sent. Close it "
                "and run the same command again."
            )
        return made

    return retrying(f"{place.repo}, pull request", attempt)


def _find(place: Placed, user: str, title: str, staged: trees.Stored) -> Proposal | None:
    """Our user's pull request of this title and these files, whatever became of it."""
    for found in of_user(place, user, title):
        waiting = is_waiting(found)
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
