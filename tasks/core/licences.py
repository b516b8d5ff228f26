"""What the cards upstream allow: licence, language, gate. Read at a pinned commit, never invented.

in   repositories of base model, data set and reward model, each at its commit
out  Upstream of each; Refused where a public release would go against a licence
     front matter: https://huggingface.co/docs/hub/model-cards#model-card-metadata

This reads what a card says of itself. It is no advice, and cannot know what a licence's text says.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.core.errors import Refused
from tasks.core.front_matter import read_front_matter
from tasks.core.hub import endpoint, hub_errors, reading
from tasks.core.models import ModelRef
from tasks.core.published_recipe import of_the_hub
from tasks.core.stage import Folder
from tasks.core.trees import RepoType

UNKNOWN = "unknown"
OTHER = "other"  # the Hub's identifier for a licence that has none
NAMELESS = frozenset([UNKNOWN, "none", "null", "~"])  # what cards say for want of one; YAML's nulls
# By the Hub's identifier or the card's own name for a licence, in small letters with a line between
# words; what its parts are called, or who is known to forbid it without saying so in the name.
FORBIDDING = (
    (re.compile(r"non-?comm?erc|(^|-)nc(-|$)"), "forbids commercial use"),
    (re.compile(r"no-?deriv|(^|-)nd(-|$)"), "forbids derivatives"),
    (re.compile(r"research"), "allows research only"),  # intel-research, qwen-research
    # Not every "academic": the Academic Free License is a free one.
    (
        re.compile(r"(academic|education(al)?|evaluation|personal)-(use|only|purposes?)(-|$)"),
        "is for academic, personal or trial use only",
    ),
    (re.compile(r"^apple-amlr"), "allows research only"),
    (re.compile(r"(^|-)nscl|nvidia-source-code"), "forbids commercial use"),  # Nvidia
    (re.compile(r"^(mrl|mnpl)(-|$)"), "forbids commercial use"),  # Mistral AI
    (re.compile(r"^exaone"), "forbids commercial use"),  # LG AI Research
    (re.compile(r"^deepfloyd-if-license$"), "forbids commercial use"),
)


WORDS_APART = re.compile(r"[^a-z0-9]+")


class Upstream(BaseModel):
    """What one repository says of itself."""

    model_config = ConfigDict(frozen=True)

    repo: str
    licences: tuple[str, ...] = (OTHER,)  # the Hub's identifiers
    name: str | None = UNKNOWN  # of a licence that has no identifier
    link: str | None = None
    language: tuple[str, ...] = ()
    gated: bool = False
    private: bool = False

    @property
    def licence(self) -> str:
        """As a person would say it."""
        named = [one for one in self.licences if one != OTHER or not self.name]
        return ", ".join(dict.fromkeys([*named, *([self.name] if self.name else [])]))

    @property
    def known(self) -> bool:
        return self.name != UNKNOWN

    @property
    def forbids(self) -> str | None:
        """What a public release would go against."""
        said = [WORDS_APART.sub("-", one.casefold()) for one in (*self.licences, self.name or "")]
        found = (why for pattern, why in FORBIDDING if any(map(pattern.search, said)))
        return next(found, None)


NOBODY = Upstream(repo="")  # a local file: it comes without a card


def upstream(repo: str, revision: str, repo_type: RepoType) -> Upstream:
    """The card at that commit, and whether the repository is gated or private now."""
    from huggingface_hub.errors import EntryNotFoundError

    api = reading()
    with hub_errors(f"{repo}@{revision}"):
        info = api.repo_info(repo, revision=revision, repo_type=repo_type)
        try:
            path = api.hf_hub_download(repo, "README.md", revision=info.sha, repo_type=repo_type)
        except EntryNotFoundError:
            header: dict[str, object] = {}
        else:
            header = read_front_matter(Path(path).read_text("utf-8"))
    gate = {"gated": bool(info.gated), "private": bool(info.private)}
    return said_by(repo, str(info.sha), repo_type, header).model_copy(update=gate)


def said_by(repo: str, commit: str, repo_type: RepoType, header: Mapping[str, object]) -> Upstream:
    """From a card's front matter. A licence is named there, or it is not known."""
    listed = _listed(header.get("license")) or (OTHER,)
    licences = tuple(OTHER if one.casefold() in NAMELESS else one for one in listed)
    names = [one for one in _listed(header.get("license_name")) if one.casefold() not in NAMELESS]
    name = ", ".join(names) or (UNKNOWN if OTHER in licences else None)
    link = header.get("license_link")
    if isinstance(link, str) and "://" not in link:  # a file beside the card
        prefix = "datasets/" if repo_type == "dataset" else ""
        link = f"{endpoint()}/{prefix}{repo}/blob/{commit}/{link.removeprefix('./')}"
    return Upstream(
        repo=repo,
        licences=licences,
        name=name,
        link=link if isinstance(link, str) else None,
        language=_listed(header.get("language")),
    )


def of_run(base: ModelRef, raw: Folder, pairs: Folder) -> dict[str, Upstream]:
    """By part, at the commits that a run was pinned to: base, data, judge. A file has no card."""
    found = {"base": upstream(base.repo, base.revision, "model")}
    if of_the_hub(raw.facts):
        found["data"] = upstream(raw.facts["source"], raw.facts["source_digest"], "dataset")
    repo, at, revision = str(pairs.facts.get("judge", "rules")).partition("@")
    if at:
        found["judge"] = upstream(repo, revision, "model")
    return found


def require_publishable(upstreams: Mapping[str, Upstream], private: bool, allowed: bool) -> None:
    """Raises Refused for a public release of what an upstream licence restricts."""
    against = [
        f"{one.repo} ({what}) has the licence {one.licence}, which {one.forbids}"
        for what, one in upstreams.items()
        if one.forbids
    ]
    if against and not private and not allowed:
        raise Refused(
            f"release: {'; '.join(against)}, and the release would be public. Set release.private: "
            "true, or release.restricted_licence: true if you may publish it so."
        )


def must_be_private(upstreams: Mapping[str, Upstream]) -> list[str]:
    """Why a release may not be public, whatever the recipe says; empty: nothing speaks against."""
    return [
        f"{one.repo} ({what}) is {'private' if one.private else 'gated'}"
        for what, one in upstreams.items()
        if one.private or one.gated
    ]


def warnings(upstreams: Mapping[str, Upstream]) -> list[str]:
    """A sentence for each upstream whose licence nobody named."""
    return [
        f"the licence of {one.repo} ({what}) is not known: its card names none. Find out before "
        "you use or share what is made of it"
        for what, one in upstreams.items()
        if not one.known
    ]


def _listed(value: object) -> tuple[str, ...]:
    """One value or several, as cards have both."""
    many = value if isinstance(value, list) else [value]
    return tuple(one.strip() for one in many if isinstance(one, str) and one.strip())
