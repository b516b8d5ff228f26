"""Finished stages -> three local folders that a person can read before anything leaves the machine.

in   pairs, adapter, merged model, the base's own snapshot, and what is known of their making
out  dataset/ (parquet and card), adapter/, model/ with the base's tokenizer, release.json in each
     cards: https://huggingface.co/docs/hub/model-cards

Tokenizer files are copied from the base by name: transformers never writes tokenizer.model, and a
tokenizer saved again is another tokenizer. It is long because what the three parts hold and what
their cards say of it is decided in one place.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from expectations.measures import telling
from tasks.core import curves, report
from tasks.core.aside import CODES
from tasks.core.errors import Refused
from tasks.core.models import ModelRef, snapshot
from tasks.core.publish import Repository
from tasks.core.stage import Folder, content_digest, file_digest, work_folder

TEMPLATES = Path(__file__).parents[1] / "templates"
PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "huggingface_hub", "prefect")
TOKENIZER_FILES = (
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
VOCABULARIES = ("tokenizer.json", "vocab.json", "merges.txt")  # any path may be a token there
TEXTS = (".json", ".md", ".jinja", ".txt", ".xml", ".html")
LOCAL_KEYS = ("_name_or_path", "is_local", "local_files_only")
PAIR_COLUMNS = ("row", "prompt", "chosen", "rejected", "score_chosen", "score_rejected", "edits")
COMPLETION_COLUMNS = ("row", "prompt", "completion", "sample", "score", "finished")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Known:
    """A finished run as its stages left it, and what the cards say of it."""

    base: ModelRef
    raw: Folder
    account: Folder  # what became of every source row
    pairs: Folder
    adapter: Folder
    merged: Folder
    settings: dict[str, Any]
    checks: Folder  # the report on the pairs
    gate: list[str]
    tried: list[dict[str, str]]  # of a sweep, a row a candidate
    warnings: list[str]  # about the base, before training
    shown: list[tuple[str, str, str]]  # question, answer before, answer after
    metrics: dict[str, Any]
    injected: str | None  # the system message that the chat template adds by itself

    @property
    def digest(self) -> str:
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


def package_versions() -> dict[str, str]:
    return {name: package_version(name) for name in PACKAGES}


def write_dataset(folder: Path, pairs: Folder, account: Folder) -> dict[str, int]:
    """data/SPLIT.parquet and set-aside.parquet; returns the rows of each split.

    completions/SPLIT.parquet beside them where answers were sampled: all of them, with scores.
    What was set aside is published without the source's own rows: nobody has looked at them.
    """
    counts = _write_splits(pairs.path / "rows.parquet", folder / "data", PAIR_COLUMNS)
    completions = pairs.path / "completions.parquet"
    if completions.exists():
        _write_splits(completions, folder / "completions", COMPLETION_COLUMNS)
    aside = pl.read_parquet(account.path / "set-aside.parquet")
    if aside.height:
        aside.drop("record").write_parquet(folder / "set-aside.parquet")
    return counts


def _write_splits(source: Path, folder: Path, columns: Sequence[str]) -> dict[str, int]:
    """One file a split, of those columns that the source has."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    there = pq.read_schema(source).names
    empty = pl.scan_parquet(source).select(pl.col("^score_.*$").is_null().all()).collect()
    chosen = [
        name for name in columns if name in there and not (name in empty and empty[name].all())
    ]
    counts = {}
    for split in SPLITS:
        rows = pq.read_table(source, columns=chosen, filters=[("split", "==", split)])
        if rows.num_rows:
            pq.write_table(rows, folder / f"{split}.parquet")
            counts[split] = rows.num_rows
    return counts


def write_report(folder: Path, checks: Folder) -> None:
    for name in report.FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(checks.path / name, folder / name)


def write_adapter(folder: Path, adapter: Path, base: Path) -> None:
    shutil.copytree(adapter, folder)
    copy_tokenizer(base, folder)


def write_model(folder: Path, merged: Path, base: Path) -> None:
    """Weights and configuration of the merged model, everything else from the base."""
    folder.mkdir()
    for path in sorted(merged.iterdir()):
        if path.name.startswith(("model", "config", "generation_config")):
            shutil.copyfile(path, folder / path.name)
    copy_tokenizer(base, folder)


def draw_training(folder: Path, known: Known, title: str) -> None:
    """training.png for the cards, of every metric that training logged."""
    history = json.loads((known.adapter.path / "history.json").read_text())
    best, limits = known.adapter.facts["best_step"], known.settings["watch"]["limits"]
    curves.draw(history, folder / "training.png", title, best_step=best, limits=limits)


def copy_tokenizer(base: Path, folder: Path) -> None:
    for name in TOKENIZER_FILES:
        if (base / name).exists():
            shutil.copyfile(base / name, folder / name)
    sentencepiece = folder / "tokenizer.model"
    if sentencepiece.exists() and file_digest(sentencepiece) != file_digest(
        base / "tokenizer.model"
    ):
        raise Refused(f"{sentencepiece}: not the base's bytes (sha256 differs). Run again.")


def write_cards(folder: Path, facts: dict[str, Any]) -> None:
    """README.md and release.json of all three parts; a blank left in a template is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown for the Hub, not HTML
    )
    templates.filters["cell"] = lambda text: " ".join(str(text).split()).replace("|", "\\|")
    for part in ("dataset", "adapter", "model"):
        card = templates.get_template(f"{part}.md.j2").render(**facts)
        (folder / part / "README.md").write_text(card)
        text = json.dumps(facts["manifest"], indent=2, ensure_ascii=False)
        (folder / part / "release.json").write_text(text + "\n")


def scrub(folder: Path, local: Iterable[str]) -> None:
    """Drop local keys from configurations; refuse if a local path is left anywhere in a text."""
    for path in sorted(folder.rglob("*.json")):
        content = json.loads(path.read_text())
        if isinstance(content, dict) and any(key in content for key in LOCAL_KEYS):
            kept = {key: value for key, value in content.items() if key not in LOCAL_KEYS}
            path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
    for path in sorted(folder.rglob("*")):
        if path.suffix not in TEXTS or path.name in VOCABULARIES:
            continue
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            for place in local:
                if place in line:
                    raise Refused(
                        f"{path.relative_to(folder)}:{number}: names the local path {place}. "
                        "Nothing was published; remove it from the recipe."
                    )


def build_release(
    folder: Path, known: Known, targets: list[Repository], version: str
) -> dict[str, int]:
    """Write dataset/, adapter/ and model/ below `folder`; returns the rows of each split."""
    base = snapshot(known.base)
    counts = write_dataset(folder / "dataset", known.pairs, known.account)
    write_report(folder / "dataset" / "report", known.checks)
    write_adapter(folder / "adapter", known.adapter.path / "adapter", base)
    write_model(folder / "model", known.merged.path, base)
    for part in ("adapter", "model"):
        draw_training(folder / part, known, f"Training of {targets[-1].repo} {version}")
    write_cards(folder, _card_facts(base, known, targets, version, counts))
    home = [str(Path.home())] if len(Path.home().parts) > 2 else []  # a short one is a word
    scrub(folder, [str(work_folder()), str(base.parent), *home])
    return counts


def manifest(known: Known, targets: list[Repository], version: str) -> dict[str, Any]:
    """What release.json says in each repository. Commit shas stand in the local one only."""
    return {
        "version": version,
        "digest": known.digest,
        "repositories": {target.part: target.repo for target in targets},
        "inputs": {
            "base": known.base.model_dump(),
            "data": {key: known.raw.facts[key] for key in ("source", "source_digest")},
        }
        | ({"judge": known.pairs.facts["judge"]} if "judge" in known.pairs.facts else {}),
        "stages": {
            stage.stage: stage.digest
            for stage in (known.account, known.pairs, known.adapter, known.merged)
        },
        "settings": known.settings,
        "packages": package_versions(),
        "metrics": known.metrics,
        "gate": known.gate,
        "sweep": known.tried,
        "warnings": known.warnings,
        "training": known.adapter.facts,
        "merge": known.merged.facts,
    }


def _card_facts(
    base: Path, known: Known, targets: list[Repository], version: str, counts: dict[str, int]
) -> dict[str, Any]:
    """Everything the templates ask for. Licences are upstream's and never invented."""
    from huggingface_hub import ModelCard

    readme = base / "README.md"
    upstream = ModelCard.load(readme).data.to_dict() if readme.exists() else {}
    source = known.raw.facts
    sampled = known.pairs.path / "completions.parquet"
    there = set(pl.read_parquet(sampled, columns=["split"])["split"]) if sampled.exists() else ()
    total = sum(counts.values())
    sizes = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))
    digest_kind = "commit" if len(source["source_digest"]) == 40 else "sha256"
    findings, crashed = report.read_findings(known.checks.path)
    return {
        "version": version,
        "manifest": manifest(known, targets, version),
        "repos": {target.part: target.repo for target in targets},
        "base": known.base,
        "base_licence": _licence(upstream.get("license"), upstream.get("license_name")),
        "base_language": upstream.get("language"),
        "data_licence": _licence(source["licence"], None),
        "source": source | {"digest_kind": digest_kind},
        "counts": counts,
        "size_category": next((name for limit, name in sizes if total < limit), "n>1M"),
        "account": known.account.facts,
        "set_aside": [
            {"code": code, "meaning": CODES[code], "rows": rows}
            for code, rows in known.account.facts["reasons"].items()
        ],
        "checks": [
            {"word": telling.word(one), "name": report.name_of(one), "number": one.number}
            for one in findings
        ],
        "checks_counted": telling.counts(findings, crashed),
        "names": _names(known.settings["curation"]),
        "corrected": "edits" in pl.read_parquet_schema(known.pairs.path / "rows.parquet"),
        "judge": known.pairs.facts.get("judge"),
        "by_server": any(
            (known.settings[section] or {}).get("endpoint") for section in ("curation", "on_policy")
        ),
        "on_policy": known.settings["on_policy"],
        "completions": [split for split in SPLITS if split in there],
        "injected": known.injected,
        "system_prompt": known.settings["data"]["system_prompt"],
        "settings": yaml.safe_dump(known.settings, sort_keys=False, allow_unicode=True).strip(),
        "shown": known.shown,
        "metrics": known.metrics,
        "gate": known.gate,
        "tried": known.tried,
        "columns": list(dict.fromkeys(name for row in known.tried for name in row)),
        "warnings": known.warnings,
        "training": known.adapter.facts,
        "parity": known.merged.facts,
    }


def _names(curation: dict[str, Any] | None) -> dict[str, Any] | None:
    """The first rename by name, and all of them as a person would say them."""
    if curation is None:
        return None
    told = [f"{' / '.join(one['old'])} became {one['new']}" for one in curation["renames"]]
    first = curation["renames"][0]
    return {"old_name": first["old"][0], "new_name": first["new"], "replaced": ", ".join(told)}


def _licence(licence: Any, name: str | None) -> str:
    """The card's licence lines; `other` with the name unknown where upstream names none."""
    if not isinstance(licence, str):
        licence, name = "other", "unknown"
    return f"license: {licence}" + (f"\nlicense_name: {name}" if name else "")
