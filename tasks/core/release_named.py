"""The name of a release -> its three repositories at their commits.

in   OWNER/NAME[@tag], the name of any of the three
out  a Place for each part; InputError for a name without a release, Refused for half a release
"""

from functools import partial

from tasks.core.errors import InputError, Refused
from tasks.core.hub import reading, retrying
from tasks.core.publish import VERSION, Repository
from tasks.core.release_found import PARTS, Part, Place, read_manifest
from tasks.core.trees import MANIFEST, RepoType, refs_of


def places_of(name: str) -> list[Place]:
    """OWNER/NAME[@tag], the name of any of the three repositories; without a tag the highest one
    of the merged model, which is written last."""
    repo, _, asked = name.partition("@")
    part, tags = _released(repo)
    tag = asked or _highest(repo, tags)
    if tag not in tags:
        raise InputError(
            f"{repo}: no tag {tag}; it has {', '.join(sorted(tags)) or 'none'}. Give one of them."
        )
    repositories = read_manifest(_place(part, repo, tags[tag]))[0].repositories
    if not asked and repositories["model"] != repo:
        tag = _highest(repositories["model"], _tags(repositories["model"], "model"))
    places = []
    for part in PARTS:
        tags = _tags(repositories[part], _type(part))
        if tag not in tags:
            raise Refused(
                f"{repositories[part]}: has no tag {tag}, so release {tag} is not complete. "
                "Publish it again, or verify another one."
            )
        places.append(_place(part, repositories[part], tags[tag]))
    found = read_manifest(places[-1])[0].version
    if found != tag:
        raise Refused(f"{places[-1]}: its {MANIFEST} is of {found}, its tag is {tag}.")
    return places


def _type(part: Part) -> RepoType:
    return "dataset" if part == "dataset" else "model"


def _place(part: Part, repo: str, revision: str) -> Place:
    return Place(part=part, repo=repo, repo_type=_type(part), revision=revision)


def _released(repo: str) -> tuple[Part, dict[str, str]]:
    """(model or dataset, {tag: commit}): of a name that both have, the one with a release."""
    kinds: tuple[RepoType, ...] = ("model", "dataset")
    found = [
        (kind, _tags(repo, kind))
        for kind in kinds
        if retrying(repo, partial(reading().repo_exists, repo, repo_type=kind))
    ]
    if not found:
        raise InputError(
            f"{repo}: no model and no data set of that name, or it is private to somebody else. "
            "Give OWNER/NAME of a published release, and a token in HF_TOKEN that may read it."
        )
    return next((one for one in found if any(map(VERSION.fullmatch, one[1]))), found[0])


def _tags(repo: str, repo_type: RepoType) -> dict[str, str]:
    """{tag: commit}."""
    return refs_of(Repository(part="", repo=repo, repo_type=repo_type), reading).tags


def _highest(repo: str, tags: dict[str, str]) -> str:
    numbers = [int(found[1]) for name in tags if (found := VERSION.fullmatch(name))]
    if not numbers:
        raise InputError(f"{repo}: no release was tagged (v1, v2 ...), so there is none to verify.")
    return f"v{max(numbers)}"
