"""What people put into a release's repositories, which a release leaves there.

in   a repository at a commit: its tree, and the release.json in it
out  the names that no release put there; InputError where a release would overwrite one of them
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from tasks.core.errors import InputError
from tasks.core.trees import MANIFEST, OF_THE_HUB, Address, LocalFiles, manifest_at, tree_of

CARD = "README.md"  # a new one keeps what people wrote on it
TOKENIZER = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")
PICTURES = ("training.png", "before-after.png")
# What each release writes, as far as that is known before one is made. None is a folder of people.
WRITTEN = {
    "dataset": ("data/*.parquet", "completions/*.parquet", "set-aside.parquet", "report/*"),
    "adapter": ("adapter_config.json", "adapter_model.safetensors", *TOKENIZER, *PICTURES),
    "model": (
        *("config.json", "generation_config.json", "model*.safetensors*", "recipe.yaml"),
        *("vocab.json", "merges.txt", *TOKENIZER, *PICTURES),
    ),
}


def of_people(target: Address, commit: str, tree: Mapping[str, object]) -> frozenset[str]:
    """What no release put there: the commit's own release.json does not list it."""
    manifest = manifest_at(target, commit) if MANIFEST in tree else None
    return frozenset(tree) - _listed(target, manifest, tree) - {OF_THE_HUB}


def _listed(
    target: Address, manifest: dict[str, Any] | None, tree: Mapping[str, object]
) -> set[str]:
    match manifest:
        case {"repositories": dict(repos), **more}:
            if target.repo in {repo for part, repo in repos.items() if part != target.part}:
                return set()  # it is another part of another release
            files = more.get("files")
            here = files.get(target.part) if isinstance(files, dict) else None
            if here is None and repos.get(target.part) == target.repo:  # of an older pairpress
                here = [CARD, *(name for name in tree if is_written(target.part, name))]
            return {MANIFEST, *here} if here else set()
    return set()


def is_written(part: str, name: str) -> bool:
    """
    >>> is_written("model", "model.safetensors"), is_written("model", "weights/old.gguf")
    (True, False)
    """
    return name == MANIFEST or any(fnmatchcase(name, like) for like in WRITTEN.get(part, ()))


def beside_people(target: Address, commit: str, files: LocalFiles) -> LocalFiles:
    """The files next to what people put there, which stays. Raises InputError where it cannot."""
    tree = tree_of(target, commit)
    theirs = of_people(target, commit, tree)
    taken = theirs & files.names
    require_free(target.repo, {name for name in taken if not files.same(name, tree[name])})
    return replace(files, kept=theirs)


def require_free(repo: str, taken: Iterable[str]) -> None:
    """Raises InputError naming files of people that a release would overwrite."""
    if names := set(taken) - {CARD}:
        raise InputError(
            f"{repo}: main holds {told(names)}, which no release put there and this one would "
            "overwrite; nothing was changed. Set release.repository to another name, or move them "
            "away."
        )


def told(names: Iterable[str]) -> str:
    """
    >>> told("edcba"), told("ba")
    ('a, b, c and 2 more', 'a, b')
    """
    listed = sorted(names)
    shown = listed if len(listed) <= 4 else [*listed[:3]]
    more = f" and {len(listed) - 3} more" if len(listed) > 4 else ""
    return ", ".join(shown) + more
