"""What crosses from stage to stage: small frozen references, never the data itself."""

from pydantic import BaseModel, ConfigDict

from tasks.core.publish import Repository
from tasks.core.settings import Recipe
from tasks.core.stage import Folder


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


class Staged(Reference):
    """A release on this disk, ready to go: what, whither, under which version."""

    folder: Folder
    targets: list[Repository]
    version: str
    finished: bool  # True: the Hub holds this very release already
