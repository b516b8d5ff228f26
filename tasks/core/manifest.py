"""release.json: what a release is, what it was made of and what was found, in all its repositories.

in   a finished run (Known), its repositories and version, the folders that leave
out  one dict, the same in each repository: whoever has it can verify the release without us

It names digests of files and never a commit of its own: a commit cannot contain its own sha.
"""

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

from expectations.measures import telling
from tasks.core import report
from tasks.core.changed_rows import Changed
from tasks.core.digests import content_digest, file_digest
from tasks.core.licences import Upstream
from tasks.core.models import ModelRef
from tasks.core.publish import Repository
from tasks.core.stage import Folder
from tasks.core.trees import MANIFEST, OF_THE_HUB

PARTS = ("dataset", "adapter", "model")
PACKAGES = (
    *("torch", "transformers", "tokenizers", "accelerate", "trl", "peft", "datasets"),
    *("huggingface_hub", "prefect"),
)
TEMPLATES = Path(__file__).parents[1] / "templates"


@dataclass(frozen=True)
class Known:
    """A finished run as its stages left it, and what the cards say of it."""

    base: ModelRef
    raw: Folder
    account: Folder  # what became of every source row
    pairs: Folder
    adapter: Folder
    merged: Folder
    settings: dict[str, Any]  # as published_recipe.published_settings gives them
    checks: Folder  # the report on the pairs
    gate: list[str]
    tried: list[dict[str, str]]  # of a sweep, a row a candidate
    warnings: list[str]  # about the base, before training
    shown: list[tuple[str, str, str]]  # question, answer before, answer after
    metrics: dict[str, Any]
    injected: str | None  # the system message that the chat template adds by itself
    upstreams: dict[str, Upstream]  # by part: base, data, judge; a local file has none
    smoke: dict[str, Any]  # max_new_tokens, and questions with the answers that must come again
    changed: Changed | None  # the pairs against those of the last release
    digest: str | None  # of inputs, settings and sources: equal ones need no run at all

    @cached_property
    def content(self) -> str:
        """sha256 over all that a release consists of: equal digests are the same release."""
        parts = {
            "base": str(self.base),
            "stages": [stage.digest for stage in (self.raw, self.account, self.pairs)],
            "models": [self.adapter.digest, self.merged.digest],
            "settings": self.settings,
            "metrics": self.metrics,
            # Not the gate's sentences, which compare with the last release: it would change them.
            # Not the whole report: another version of a font draws another picture.
            "checks": file_digest(self.checks.path / "findings.json"),
            "templates": content_digest(TEMPLATES),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def told(self) -> dict[str, Any]:
        """What cards and manifest say beside that; part of what their folder is made from."""
        upstreams = {part: one.model_dump(mode="json") for part, one in self.upstreams.items()}
        return {
            "digest": self.digest,
            "gate": self.gate,
            "tried": self.tried,
            "warnings": self.warnings,
            "shown": self.shown,
            "smoke": self.smoke,
            "changed": self.changed.sentence if self.changed else None,
            "upstreams": upstreams,
        }


def package_versions() -> dict[str, str]:
    found = {name: package_version(name) for name in PACKAGES}
    return {"python": platform.python_version()} | found


def hardware(machine: Mapping[str, Any]) -> dict[str, Any]:
    """What trained, and the machine that puts the release together, without its name."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        **machine,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages * size / 2**30),
    }


def _processor() -> str:
    """Linux tells its name here alone; platform.processor() mostly gives the architecture."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def manifest(
    known: Known, targets: Sequence[Repository], version: str, rows: Mapping[str, int], folder: Path
) -> dict[str, Any]:
    """Of the folders as they leave; `rows` by split."""
    settings, facts = known.settings, known.pairs.facts
    seeds = {"splits": settings["splits"]["seed"], "training": settings["training"]["seed"]}
    if settings["on_policy"]:
        seeds["on_policy"] = settings["on_policy"]["sampling"]["seed"]
    inputs: dict[str, Any] = {
        "base": known.base.model_dump(),
        "data": {key: known.raw.facts[key] for key in ("source", "source_digest")},
    }
    if "judge" in facts:
        inputs["judge"] = facts["judge"]
    return {
        "version": version,
        "digest": known.digest,
        "content": known.content,
        "repositories": {target.part: target.repo for target in targets},
        "files": {target.part: files_of(folder / target.part) for target in targets},
        "rows": {"dataset": dict(rows)},
        "inputs": inputs,
        "licences": {
            part: one.model_dump(mode="json", include={"repo", "licences", "name", "link"})
            for part, one in known.upstreams.items()
        },
        "stages": {
            stage.stage: stage.digest
            for stage in (known.account, known.pairs, known.adapter, known.merged)
        },
        "settings": settings,
        "seeds": seeds,
        "packages": package_versions(),
        "hardware": hardware(known.adapter.facts["machine"]),
        "metrics": known.metrics,
        "gate": known.gate,
        "checks": checks(known),
        "sweep": known.tried,
        "warnings": known.warnings,
        "training": known.adapter.facts,
        "merge": known.merged.facts,
        "smoke": known.smoke,
        "template_changed": False,  # no recipe changes a chat template
    }


def files_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Path -> sha256 and size of every file that a repository will hold beside the manifest."""
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: {"sha256": file_digest(path), "size": path.stat().st_size}
        for name, path in sorted(names.items())
        if path.is_file() and name not in (MANIFEST, OF_THE_HUB)
    }


def checks(known: Known) -> list[dict[str, str]]:
    """A row for each check of the pairs: its name, the verdict in a word, what was found."""
    findings, _ = report.read_findings(known.checks.path)
    return [
        {"check": report.name_of(one), "word": telling.word(one), "number": str(one.number)}
        for one in findings
    ]


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """The same bytes into every part's folder."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    for part in content["repositories"]:
        (folder / part / MANIFEST).write_text(text, encoding="utf-8")
