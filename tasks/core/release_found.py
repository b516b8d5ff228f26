"""What stands on the Hub -> its release.json, and every file of it, held against that file.

in   a repository at a commit
out  Manifest; a folder with the files, each with the sha256 and the size that the manifest says
     release.json: tasks/core/manifest.py; it is read here as a stranger would read it
"""

import errno
import glob
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from tasks.core.errors import InputError, Refused
from tasks.core.fields import Message
from tasks.core.hub import reading, retrying
from tasks.core.models import MODEL_FILES
from tasks.core.safe_weights import PICKLES
from tasks.core.stage import file_digest
from tasks.core.trees import MANIFEST, OF_THE_HUB, tree_of

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

Part = Literal["dataset", "adapter", "model"]
PARTS: tuple[Part, ...] = get_args(Part)
UNLISTED = {MANIFEST, OF_THE_HUB}  # it cannot hold its own digest; the Hub writes the other
# What people may not add: a model's loader would read or run it, and load_dataset the rows that
# stand beside ours.
LOADED = (".safetensors", ".py", ".json", ".jinja", ".model", ".tiktoken")
LOADED_NAMES = ("vocab.txt", "merges.txt", ".huggingface.yaml")
ROWS = (".parquet", ".arrow", ".jsonl", ".ndjson", ".csv", ".tsv")
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
    questions: list[Question] = Field(min_length=1)


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


def fetch_whole(place: Place, manifest: Manifest) -> tuple[Path, list[str]]:
    """A folder with every listed file of the place; what people added there, which is left there.

    Raises Refused with the first difference.
    """
    listed = manifest.files[place.part]
    there = _tree(place, place.repo_type)
    added = _require_listed(place, listed, there)
    folder = _bring(place, place.repo_type, listed)
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
    return folder, added


def _require_listed(
    place: Place, listed: dict[str, File], there: dict[str, "RepoFile"]
) -> list[str]:
    """The repository holds what is listed; seen before anything is downloaded. What it holds
    besides comes back, unless somebody who loads the release would load that, too."""
    for name in sorted(there):
        if name.lower().endswith(PICKLES):
            raise Refused(f"{place}: {name} may be a pickle, which can run code when it is loaded.")
    missing, added = sorted(listed.keys() - there), sorted(there.keys() - listed - UNLISTED)
    loaded = [name for name in added if _is_loaded(name, listed)]
    for what, names in (
        (f"listed in {MANIFEST}, not there", missing),
        ("not listed, and of a kind that is loaded with the release. Take it out", loaded),
    ):
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
    return added


def _is_loaded(name: str, listed: Iterable[str]) -> bool:
    path = PurePosixPath(name.lower())
    if path.suffix in LOADED or path.name in LOADED_NAMES:
        return True
    beside = {PurePosixPath(one).parent for one in listed if one.endswith(ROWS)}
    return bool(beside & set(PurePosixPath(name).parents) and set(path.suffixes) & set(ROWS))


def fetch_base(base: Base, cache: Path | None) -> tuple[Path, str]:
    """(folder, whence in words) of the base at its commit: safetensors, never pickles.

    The run did not make it: a cache that holds just what the Hub lists spares the download.
    """
    there = _tree(base, "model")
    names = _model_files(there)
    size = sum(there[name].size for name in names)
    told = f"base {base}: {len(names)} files, {size:,} bytes"
    kept = _snapshot_in(cache, base) if cache else None
    if kept and _holds(kept, {name: there[name] for name in names}):
        return kept, f"{told}, from this machine's cache, each as the Hub lists it"
    return _bring(base, "model", names), f"{told}, downloaded"


def _model_files(names: Iterable[str]) -> list[str]:
    from huggingface_hub.utils._paths import filter_repo_objects

    return sorted(filter_repo_objects(names, allow_patterns=MODEL_FILES))


def _snapshot_in(cache: Path, base: Base) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        found = snapshot_download(
            base.repo, revision=base.revision, cache_dir=cache, local_files_only=True
        )
    except LocalEntryNotFoundError:
        return None
    return Path(found)


def _holds(folder: Path, wanted: dict[str, "RepoFile"]) -> bool:
    """Every wanted file by its bytes, and no other that a model's loader might read."""
    there = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return _model_files(there) == sorted(wanted) and all(
        _is_same(folder / name, entry) for name, entry in wanted.items()
    )


def _is_same(path: Path, entry: "RepoFile") -> bool:
    """sha256 of an LFS file, git's blob id of another; read now, not remembered."""
    size = path.stat().st_size
    if size != entry.size:
        return False
    with path.open("rb") as file:
        if entry.lfs is not None:
            return bool(hashlib.file_digest(file, "sha256").hexdigest() == entry.lfs.sha256)
        found = hashlib.sha1(b"blob %d\0" % size + file.read())
    return bool(found.hexdigest() == entry.blob_id)


def _tree(at: Place | Base, repo_type: Literal["dataset", "model"]) -> dict[str, "RepoFile"]:
    place = Place(part="model", repo=at.repo, repo_type=repo_type, revision=at.revision)
    return tree_of(place, at.revision, reading)


def _bring(at: Place | Base, repo_type: str, names: Iterable[str]) -> Path:
    """A folder with these files. A second try brings only what the first did not."""
    wanted = sorted(names)

    def bring() -> str:
        folder = reading().snapshot_download(
            at.repo,
            revision=at.revision,
            repo_type=repo_type,
            allow_patterns=[glob.escape(name) for name in wanted],
        )
        for name in wanted:
            if not (Path(folder) / name).is_file():  # the client's answer to a Hub that is away
                raise ConnectionError(f"{name} did not come")
        return folder

    return _download(str(at), bring)


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
