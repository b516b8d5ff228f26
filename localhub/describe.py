"""A repository at a commit -> how the Hub describes it: its files, settings, card and tags.

in   the store, a repository, a commit of it (main)
out  the JSON of GET /api/{models,datasets}/OWNER/NAME    https://huggingface.co/docs/hub/api
"""

import functools
from pathlib import Path
from typing import Any

from localhub.card import READ, card_tags, front_matter
from localhub.gitids import lfs_pointer
from localhub.records import Commit, File, Repository
from localhub.store import Store


def describe(
    store: Store, repository: Repository, commit: Commit | None = None, blobs: bool = False
) -> dict[str, Any]:
    """`blobs` adds the size and the ids of each file."""
    commit = commit or store.resolve(repository, "refs/heads/main")
    readme = commit.files.get("README.md")
    metadata = {} if readme is None else _metadata(store.blob(readme.sha256))
    described = {
        "id": repository.id.short,
        "author": repository.id.owner,
        "sha": commit.id,
        "private": repository.private,
        "gated": repository.gated,
        "disabled": False,
        "createdAt": repository.created,
        "lastModified": commit.date,
        "cardData": metadata,
        "tags": card_tags(metadata),
        "siblings": [_sibling(path, file, blobs) for path, file in sorted(commit.files.items())],
    }
    if repository.id.kind == "models":
        described["modelId"] = repository.id.short
        described |= {
            key: metadata[key] for key in ("library_name", "pipeline_tag") if key in metadata
        }
    return described


@functools.lru_cache(maxsize=64)  # a content never changes, and YAML is slow to read
def _metadata(readme: Path) -> dict[str, Any]:
    try:
        with readme.open("rb") as text:
            return front_matter(text.read(READ).decode(errors="replace"))
    except ValueError:
        return {}  # a card that slipped past validate-yaml describes nothing


def _sibling(path: str, file: File, blobs: bool) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": path}
    if blobs:
        sibling |= {"size": file.size, "blobId": file.oid}
        if file.lfs:
            pointer = len(lfs_pointer(file.sha256, file.size))
            sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": pointer}
    return sibling
