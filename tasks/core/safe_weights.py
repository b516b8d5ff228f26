"""Weights without code: only safetensors are begun from, and nothing that runs leaves.

in   the folder of a release; or a base model on the Hub, at one commit
out  nothing; Refused (a pickle or code is about to leave), InputError (a base that cannot be used)

A pickle runs code when it is loaded (https://huggingface.co/docs/hub/security-pickle), and so does
a model whose configuration names classes of its own repository, which trust_remote_code would
fetch. Neither is ever done here.
"""

import json
import struct
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import is_zipfile

from tasks.core.errors import InputError, Refused
from tasks.core.hub import hub_errors, reading, retrying

# Formats that are pickles, or may hold one. A .npy may hold objects.
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".npy", ".npz")
# All that release.py writes: weights, configurations, tokenizers, rows, cards, report and pictures.
LEAVING = (".safetensors", ".json", ".jinja", ".parquet", ".md", ".yaml", ".png", ".html", ".xml")
LEAVING_NAMES = ("merges.txt", "tokenizer.model")
# What transformers looks for in a folder of a model, before it would take a pickle.
LOADED = ("model.safetensors", "model.safetensors.index.json")
PROTOCOLS = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))  # how a pickle begins


def pickles(names: Iterable[str]) -> list[str]:
    """Those of these files that are pickles by their name."""
    return [name for name in names if PurePosixPath(name).suffix.lower() in PICKLES]


def require_safetensors(folder: Path) -> None:
    """By name, of what may leave, and by content, since a pickle may be called anything."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if pickles([name]) or _is_pickle(path):
            raise Refused(
                f"{name}: a pickle, which runs code where it is loaded. Only safetensors are "
                "published; nothing was."
            )
        if path.suffix not in LEAVING and path.name not in LEAVING_NAMES:
            raise Refused(
                f"{name}: no kind of file that a release holds ({' '.join(LEAVING)}, "
                f"{', '.join(LEAVING_NAMES)}). Nothing was published."
            )
        if path.suffix == ".safetensors":
            try:
                header(path)
            except ValueError as error:
                raise Refused(
                    f"{name}: no safetensors file, though called so. Nothing was published."
                ) from error


def header(path: Path) -> dict[str, Any]:
    """Of a safetensors file: what it says of its tensors. ValueError for any other file."""
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < length <= path.stat().st_size - 8:
            raise ValueError(f"{path.name}: no header where safetensors have one")
        found = json.loads(file.read(length))
    if not isinstance(found, dict):
        raise ValueError(f"{path.name}: its header is no JSON object")
    return found


def require_safe_base(repo: str, revision: str) -> None:
    """Raise InputError for a base whose weights are pickles, or that brings code of its own."""
    from huggingface_hub import hf_hub_download

    what = f"base.model {repo}@{revision}"
    with hub_errors(what):
        found = retrying(what, lambda: reading().model_info(repo, revision=revision))
        names = [one.rfilename for one in found.siblings or []]
        if not any(name in names for name in LOADED):
            raise InputError(_no_weights(what, names))
        if "config.json" not in names:
            return
        path = retrying(what, lambda: hf_hub_download(repo, "config.json", revision=found.sha))
    config = _object(Path(path), what)
    if config.get("auto_map") and not _is_known(config.get("model_type")):
        raise InputError(
            f"{what}: config.json asks for code of its own repository (auto_map, model_type "
            f"{config.get('model_type')!r}), which is never run here. Take a model of an "
            "architecture that transformers itself knows."
        )


def _no_weights(what: str, names: list[str]) -> str:
    if found := pickles(names):
        return (
            f"{what}: its weights are pickles only ({found[0]}), which run code where they are "
            "loaded. Take a revision with safetensors: set base.revision to the pull request that "
            "https://huggingface.co/spaces/safetensors/convert opens, for example refs/pr/1."
        )
    return (
        f"{what}: no {LOADED[0]} and no {LOADED[1]}, so no weights to begin from. Is it a model's "
        "repository?"
    )


def _object(path: Path, what: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{what}: its {path.name} is no JSON object. Take another model.")
    return found


def _is_known(model_type: object) -> bool:
    """Does transformers have this architecture itself? Then it does not ask for foreign code."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return model_type in CONFIG_MAPPING_NAMES


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(2)
    if start == b"PK" and is_zipfile(path):  # how torch.save packs one
        return True
    return start in PROTOCOLS and path.suffix != ".safetensors"
