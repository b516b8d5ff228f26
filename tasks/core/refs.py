"""What crosses from stage to stage: small frozen references, never the data itself."""

from pydantic import BaseModel, ConfigDict

from tasks.core.publish import Repository
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


class Aligned(Reference):
    """A model that passed its gate: adapter and merged, with both evaluations."""

    before: Folder
    adapter: Folder
    after: Folder
    gate: list[str]
    merged: Folder


class Staged(Reference):
    """A release on this disk, ready to go: what, whither, under which version."""

    folder: Folder
    targets: list[Repository]
    version: str
    finished: bool  # True: the Hub holds this very release already
