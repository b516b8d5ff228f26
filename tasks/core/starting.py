"""What a run starts from: the commit of each, its size, its licence, and whether it may be used.

in   a recipe; the Hub, which is only asked
out  Source of base model, data and reward model; why the release would be private
"""

from collections.abc import Callable
from fnmatch import fnmatch

from pydantic import BaseModel, ConfigDict

from tasks.core import unchanged
from tasks.core.hub import hub_errors, reading
from tasks.core.looks import Looks
from tasks.core.models import MODEL_FILES
from tasks.core.settings import Recipe
from tasks.core.sources import files_of, is_file
from tasks.core.trees import RepoType


class Source(BaseModel):
    """A model or data set that the run starts from."""

    model_config = ConfigDict(frozen=True)

    what: str  # base model, data, reward model
    name: str
    revision: str  # commit, or sha256 of local files; empty: not known, or not there yet
    licence: str = ""
    bytes: int = 0  # of the files that a run reads
    to_fetch: int = 0  # of these, not in the Hub's cache yet
    note: str = ""


def look_at_sources(recipe: Recipe, looks: Looks) -> list[Source]:
    """Base model, data and, where there is one, the reward model."""
    base, data, how = recipe.base, recipe.data, recipe.on_policy
    seeded = (recipe.seed.model, recipe.seed.dataset) if recipe.seed else ()
    found = [
        _source("base model", base.model, "model", unchanged.base_commit, recipe, looks, seeded)
    ]
    if is_file(data.path):
        digest = looks.at(unchanged.data_commit, recipe) or ""
        files = files_of(data.path) if digest else []
        size = sum(path.stat().st_size for path in files)
        found.append(Source(what="data", name=data.path, revision=digest, bytes=size))
    else:
        found.append(
            _source("data", data.path, "dataset", unchanged.data_commit, recipe, looks, seeded)
        )
    if how is not None and (judge := how.judge.reward_model) is not None:
        found.append(
            _source("reward model", judge, "model", unchanged.reward_commit, recipe, looks)
        )
    return found


def _source(
    what: str,
    name: str,
    kind: RepoType,
    commit_of: Callable[[Recipe], str | None],
    recipe: Recipe,
    looks: Looks,
    seeded: tuple[str, ...] = (),
) -> Source:
    source = Source(what=what, name=name, revision="")
    if name in seeded and looks.hub(_is_there, name, kind) is False:
        return source.model_copy(update={"note": "is put on the Hub by the run itself"})
    resolved = looks.hub(commit_of, recipe)
    if resolved is None:
        return source
    commit = resolved.rpartition("@")[2]
    if kind == "model":
        looks.hub(_require_safe, name, commit)
    whole, to_fetch = looks.hub(_sizes, name, kind, commit) or (0, 0)
    return source.model_copy(update={"revision": commit, "bytes": whole, "to_fetch": to_fetch})


def _is_there(name: str, kind: RepoType) -> bool:
    with hub_errors(name):
        return bool(reading().repo_exists(name, repo_type=kind))


def _require_safe(name: str, commit: str) -> None:
    from tasks.core.safe_weights import require_safe_base

    require_safe_base(name, commit)


def _sizes(name: str, kind: RepoType, commit: str) -> tuple[int, int]:
    """(bytes of the files that a run reads, of these not in the Hub's cache)."""
    from huggingface_hub import try_to_load_from_cache

    api = reading()
    ask = api.dataset_info if kind == "dataset" else api.model_info
    with hub_errors(f"{name}@{commit[:8]}"):
        info = ask(name, revision=commit, files_metadata=True)
    sizes = {
        file.rfilename: file.size or 0
        for file in info.siblings or ()
        if kind == "dataset" or any(fnmatch(file.rfilename, like) for like in MODEL_FILES)
    }
    missing = [
        path
        for path in sizes
        if kind == "model"  # a data set goes into its stage, by no cache
        and not isinstance(try_to_load_from_cache(name, path, revision=commit), str)
    ]
    return sum(sizes.values()), sum(sizes[path] for path in missing)


def look_at_licences(
    recipe: Recipe, sources: list[Source], looks: Looks, notes: list[str]
) -> list[str]:
    """Why the release would be private; a licence is written into its source."""
    from tasks.core import licences

    private = ["release.private is true"] if recipe.release.private else []
    upstreams = {}
    for at, one in enumerate(sources):
        if not one.revision or (one.what == "data" and is_file(one.name)):
            continue
        kind: RepoType = "dataset" if one.what == "data" else "model"
        found = looks.hub(licences.upstream, one.name, one.revision, kind)
        if found is not None:
            upstreams[one.what] = found
            sources[at] = one.model_copy(update={"licence": found.licence})
    notes += licences.warnings(upstreams)
    forced = licences.must_be_private(upstreams)
    allowed = recipe.release.restricted_licence
    looks.at(licences.require_publishable, upstreams, bool(private or forced), allowed)
    return [*private, *forced]
