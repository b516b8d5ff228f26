"""What crosses from stage to stage: small frozen references, never the data itself."""

from pydantic import BaseModel, ConfigDict

from tasks.core.proposing import Proposal
from tasks.core.publish import Repository
from tasks.core.settings import Recipe
from tasks.core.stage import Folder
from tasks.core.staging import Placed


class Reference(BaseModel):
    model_config = ConfigDict(frozen=True)


class Prepared(Reference):
    """Data that passed its checks, and the account of every source row."""

    raw: Folder
    account: Folder
    prompts: Folder
    pairs: Folder
    checks: Folder


class Candidate(Reference):
    """One training of a sweep, evaluated; or why it came to nothing."""

    recipe: Recipe
    adapter: Folder | None = None
    after: Folder | None = None
    diverged: str | None = None


class Aligned(Reference):
    """A model that passed its gate: adapter and merged, with both evaluations."""

    recipe: Recipe  # with the rate and beta of the candidate that goes on
    before: Folder
    adapter: Folder
    after: Folder
    gate: list[str]
    tried: list[dict[str, str]]  # a row a candidate of the sweep, as in the table; empty: no sweep
    merged: Folder


class News(Reference):
    """Whether there is anything to do: the digest of what a release would be made from."""

    digest: str
    standing: str | None  # the version of the last release, if that has this digest


class Written(Reference):
    """A release on this disk: what, whither, under which version."""

    folder: Folder
    targets: list[Repository]
    version: str
    content: str  # digest of what the stages made
    finished: bool  # True: the Hub holds this very content already
    private: bool
    changed: str  # what became of the pairs since the last release


class Staged(Reference):
    """A release on its branches, verified from there."""

    written: Written
    placed: list[Placed]  # empty: finished already


class Published(Reference):
    repositories: list[Repository]  # empty while people have to merge
    proposals: list[Proposal] = []
