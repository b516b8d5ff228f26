"""The pull requests in which our own user proposed a release.

in   a repository, and whose token publishes
out  huggingface_hub's Discussion, newest first; a stranger's of the same title is none of ours
     https://huggingface.co/docs/hub/repositories-pull-requests-discussions
"""

from typing import Any

from tasks.core.hub import retrying, writing
from tasks.core.trees import Address


def title_of(version: str, part: str) -> str:
    return f"Release {version}: {part}"


def is_waiting(found: Any) -> bool:
    return found.status in ("open", "draft")


def of_user(target: Address, user: str, title: str) -> list[Any]:
    def look() -> list[Any]:
        found = writing().get_repo_discussions(
            target.repo,
            repo_type=target.repo_type,
            discussion_type="pull_request",
            author=user,
        )
        ours = [one for one in found if one.title == title and one.author == user]
        return sorted(ours, key=lambda one: one.num, reverse=True)

    return retrying(f"{target.repo}, pull requests", look)
