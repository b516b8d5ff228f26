"""What a run has made so far, as JSON in its folder: another flow can go on from there.

in   .pairpress/runs/RUN, and each reference as it comes into being
out  RUN/references/{recipe,news,base,prepared,aligned,staged}.json, and the run that another flow
     starts from, with every folder it needs looked at
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tasks.core.errors import InputError
from tasks.core.models import ModelRef
from tasks.core.recipes import with_changes
from tasks.core.refs import Aligned, News, Prepared, Staged
from tasks.core.settings import Recipe
from tasks.core.stage import Folder

KINDS: dict[str, type[BaseModel]] = {
    "recipe": Recipe,
    "news": News,
    "base": ModelRef,
    "prepared": Prepared,
    "aligned": Aligned,
    "staged": Staged,
}
MADE_BY = {
    "prepared": "prepare-data/alone",
    "aligned": "align-model/alone",
    "staged": "stage-release/alone",
}
LATEST = "latest"
STARTED_FROM = "started-from.txt"
CARRIED = "carried.txt"  # names of the references that an earlier run made
EVALUATION = "evaluation.md"  # which the proposal and the approval of a release show


def write_reference(run: Path, name: str, value: BaseModel) -> None:
    """Whole or not at all: a killed run leaves no half of one. A run that begins again, after a
    retry or an answer, makes nothing newer of it than it was."""
    (file := _file(run, name)).parent.mkdir(parents=True, exist_ok=True)
    (unfinished := file.with_name(f".{name}.json")).write_text(value.model_dump_json(indent=2))
    if file.exists():
        first = file.stat().st_mtime
        os.utime(unfinished, (first, first))
    unfinished.rename(file)


def run_with(name: str, run: str, mine: Path) -> Path:
    """The folder of the run named, which has this reference, or of the latest one that made it: the
    same one when this run begins again, after a retry or an answer."""
    runs = mine.parent
    if (started := mine / STARTED_FROM).exists():
        run = started.read_text()
    folder = _run_with(name, run, runs)
    started.write_text(folder.name)
    return folder


def _run_with(name: str, run: str, runs: Path) -> Path:
    if run != LATEST:
        folder = runs / run
        if Path(run).name != run or not folder.is_dir():
            raise InputError(
                f"run {run!r}: not in {runs}. Give the id of a run, as its page shows it, or "
                f"{LATEST!r}."
            )
        if not _file(folder, name).exists():
            made = ", ".join(one for one in KINDS if _file(folder, one).exists()) or "nothing"
            raise InputError(
                f"run {run}: kept {made}, not what this flow starts from ({name}). Run "
                f"{MADE_BY[name]} first, or give another run."
            )
        return folder
    files = [
        file
        for file in runs.glob(f"*/references/{name}.json")
        if not file.parents[1].is_symlink() and name not in _carried(file.parents[1])
    ]
    if not files:
        raise InputError(f"{runs}: no run made {name!r} here. Run {MADE_BY[name]} first.")
    return max(files, key=lambda file: file.stat().st_mtime).parents[1]


def _carried(run: Path) -> list[str]:
    return file.read_text().split() if (file := run / CARRIED).exists() else []


def read_reference(run: Path, name: str) -> Any:
    """One of KINDS; raises InputError where a stage's folder that it names is not there whole."""
    file = _file(run, name)
    if not file.exists():
        raise InputError(f"{file}: missing. Run {MADE_BY.get(name, MADE_BY['prepared'])} again.")
    try:
        value = KINDS[name].model_validate_json(file.read_text("utf-8"))
    except ValidationError as error:
        raise InputError(
            f"{file}: not of this version of pairpress. Run {MADE_BY.get(name, 'it')} again."
        ) from error
    for folder in folders_of(value):
        if not (folder.path / "done.json").exists():
            raise InputError(
                f"run {run.name}: stage {folder.stage} is gone ({folder.path}). Run "
                f"{MADE_BY[name]} again with the same settings: what is still there is found."
            )
    return value


def folders_of(value: BaseModel) -> Iterator[Folder]:
    """Every stage's folder that a reference names."""
    for _, inner in value:
        if isinstance(inner, Folder):
            yield inner
        elif isinstance(inner, BaseModel):
            yield from folders_of(inner)


def carry(earlier: Path, run: Path, kept: Mapping[str, BaseModel]) -> None:
    """Into this run's folder, so that the next flow can start from this run as well, if it is
    named: with its changes it may fail or be refused, which nobody means by the latest."""
    (run / CARRIED).write_text("\n".join(kept))
    for name, value in kept.items():
        write_reference(run, name, value)
    if (earlier / EVALUATION).exists():
        shutil.copyfile(earlier / EVALUATION, run / EVALUATION)


def changed(recipe: Recipe, changes: Iterable[str], may: Iterable[str], decided_by: str) -> Recipe:
    """The recipe with changes `section.key=value` in the sections that are still open."""
    for change in changes:
        section = change.partition("=")[0].partition(".")[0]
        if section in Recipe.model_fields and section not in may:
            raise InputError(
                f"change {change!r}: {section} was decided by {decided_by}, which this run starts "
                f"from. Run that with it. Here may change: {', '.join(may)}."
            )
    return with_changes(recipe.model_dump(mode="json"), changes, "of the earlier run")


def differing(recipe: Recipe, known: Mapping[str, Recipe]) -> tuple[str, list[str]]:
    """The known recipe that it is nearest to, and its settings that differ from that one."""
    mine = recipe.model_dump(mode="json")
    differ = {
        name: list(_differing(mine, one.model_dump(mode="json"))) for name, one in known.items()
    }
    return min(differ.items(), key=lambda one: (len(one[1]), one[0]))


def _differing(
    mine: Mapping[str, Any], theirs: Mapping[str, Any], above: str = ""
) -> Iterator[str]:
    """Each by its whole name, as a change is written: `training.max_steps=200`."""
    for name in {**theirs, **mine}:
        if name not in mine:  # such as a check: null would leave it out
            yield f"{above}{name} not set"
        elif isinstance(mine[name], dict) and isinstance(theirs.get(name), dict):
            yield from _differing(mine[name], theirs[name], f"{above}{name}.")
        elif name not in theirs or mine[name] != theirs[name]:
            yield f"{above}{name}={json.dumps(mine[name], ensure_ascii=False)}"


def _file(run: Path, name: str) -> Path:
    return run / "references" / f"{name}.json"
