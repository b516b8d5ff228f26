"""What stands on the Hub -> its release.json, and every file of it, held against that file.

in   a repository at a commit
out  Manifest; a folder with the files, each with the sha256 and the size that the manifest says
     release.json: tasks/core/manifest.py; it is read here as a stranger would read it
"""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from tasks.core.errors import InputError, Refused
from tasks.core.fields import Message
from tasks.core.hub import reading, retrying
from tasks.core.models import MODEL_FILES
from tasks.core.safe_weights import PICKLES
from tasks.core.stage import file_digest

Part = Literal["dataset", "adapter", "model"]
PARTS: tuple[Part, ...] = get_args(Part)
MANIFEST = "release.json"
UNLISTED = {MANIFEST, ".gitattributes"}  # it cannot hold its own digest; the Hub writes the other
REPOSITORY = r"^[\w.-]+(/[\w.-]+)?$"  # no path: a folder of this machine is no base model
SHA = r"^[0-9a-f]{40}$"


class Place(BaseModel):
    """One part of a release at a commit."""

    model_config = ConfigDict(frozen=True)

    part: Part
    repo: str
    repo_type: Literal["dataset", "model"]
    revision: str = Field(pattern=SHA)

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision[:8]}"


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True)


class File(_Read):
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int


class Base(_Read):
    repo: str = Field(pattern=REPOSITORY)
    revision: str = Field(pattern=SHA)

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision[:8]}"


class Inputs(_Read):
    base: Base


class Question(_Read):
    messages: list[Message] = Field(min_length=1)
    adapter: str  # what base and adapter answered, greedily
    model: str  # what the merged model answered


class Smoke(_Read):
    max_new_tokens: int = Field(ge=1, le=4096)
    questions: list[Question]


class Rows(_Read):
    dataset: dict[str, int]  # by split


def _of_each_part(found: dict[Part, Any]) -> dict[Part, Any]:
    if missing := [part for part in PARTS if part not in found]:
        raise ValueError(f"nothing is said of {', '.join(missing)}")
    return found


class Manifest(_Read):
    """As much of a release.json as it takes to verify the release; all of it must be there."""

    version: str = Field(pattern=r"^v[1-9]\d*$")
    repositories: Annotated[dict[Part, str], AfterValidator(_of_each_part)]
    files: Annotated[dict[Part, dict[str, File]], AfterValidator(_of_each_part)]
    rows: Rows
    inputs: Inputs
    smoke: Smoke
    template_changed: bool


def read_manifest(place: Place) -> tuple[Manifest, str]:
    """(parsed, as it was written). Raises InputError for one that says too little to verify."""
    repo, at, kind = place.repo, place.revision, place.repo_type
    text = _download(
        f"{place}, {MANIFEST}",
        lambda: reading().hf_hub_download(repo, MANIFEST, revision=at, repo_type=kind),
    ).read_text("utf-8")
    try:
        return Manifest.model_validate_json(text), text
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise InputError(
            f"{place}: its {MANIFEST} cannot be verified from: {where}: {first['msg']}. An older "
            "pairpress, or somebody else, wrote it; nothing is known to be wrong with the files."
        ) from error


def fetch_whole(place: Place, manifest: Manifest) -> Path:
    """A folder with every file of the place. Raises Refused with the first difference."""
    listed = manifest.files[place.part]
    _require_listed(place, listed)
    repo, at, kind = place.repo, place.revision, place.repo_type
    folder = _download(
        str(place), lambda: reading().snapshot_download(repo, revision=at, repo_type=kind)
    )
    for name, file in listed.items():
        path = folder / name
        for what, found, expected in (
            ("size", path.stat().st_size, file.size),
            ("sha256", file_digest(path), file.sha256),
        ):
            if found != expected:
                raise Refused(
                    f"{place}: {name}: its {what} is {found}, {MANIFEST} says {expected}."
                )
    return folder


def _require_listed(place: Place, listed: dict[str, File]) -> None:
    """The repository holds what is listed and nothing else; seen before anything is downloaded."""
    there = retrying(str(place), lambda: _tree(place))
    for name in sorted(there):
        if name.lower().endswith(PICKLES):
            raise Refused(f"{place}: {name} may be a pickle, which can run code when it is loaded.")
    missing, more = sorted(listed.keys() - there), sorted(there.keys() - listed - UNLISTED)
    for what, names in ((f"listed in {MANIFEST}, not there", missing), ("not listed", more)):
        if names:
            further = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise Refused(f"{place}: {names[0]}{further}: {what}.")
    for name, file in listed.items():
        entry = there[name]
        for found, expected in (
            (f"{entry.size} bytes", f"{file.size} bytes"),
            (f"sha256 {entry.lfs.sha256}" if entry.lfs else "", f"sha256 {file.sha256}"),
        ):
            if found and found != expected:
                raise Refused(f"{place}: {name}: found {found}, {MANIFEST} says {expected}.")


def _tree(place: Place) -> dict[str, Any]:
    from huggingface_hub.hf_api import RepoFile

    entries = reading().list_repo_tree(
        place.repo, recursive=True, revision=place.revision, repo_type=place.repo_type
    )
    return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}


def fetch_base(base: Base) -> Path:
    """The base at its commit: weights as safetensors, never as pickles."""
    repo, at = base.repo, base.revision
    return _download(
        f"base {base}",
        lambda: reading().snapshot_download(repo, revision=at, allow_patterns=MODEL_FILES),
    )


def _download(what: str, call: Callable[[], str]) -> Path:
    """Where it lies. What an earlier try brought is not brought again."""
    try:
        return Path(retrying(what, call))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise InputError(
            f"{what}: no space left for it in the Hub's cache. Free some, or set PAIRPRESS_HOME "
            "and HF_HOME to folders on a larger disk."
        ) from error


def first_difference(one: str, other: str) -> str:
    """Where two manifests part, in words."""
    a, b = json.loads(one), json.loads(other)
    if not isinstance(a, dict) or not isinstance(b, dict):
        return "they are not of one form"
    for key in sorted(a.keys() | b.keys()):
        if a.get(key) != b.get(key):
            return f"{key}: {_short(a.get(key))} and {_short(b.get(key))}"
    return "the bytes differ, what they say does not"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
