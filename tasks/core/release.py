"""Finished stages -> three local folders that a person can read before anything leaves the machine.

in   pairs, adapter, merged model, the base's own snapshot, and what is known of their making
out  dataset/ (parquet, report, card), adapter/, model/ with the base's tokenizer and the recipe,
     release.json in each

Tokenizer files are copied from the base by name: transformers never writes tokenizer.model, and a
tokenizer saved again is another tokenizer. Weights are linked: no second copy, no second hashing.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from expectations.measures import telling
from tasks.core import before_after, curves, manifest, published_recipe, report
from tasks.core.aside import CODES
from tasks.core.cards import write_cards
from tasks.core.digests import file_digest, link
from tasks.core.errors import Refused
from tasks.core.manifest import Known
from tasks.core.model_index import model_index
from tasks.core.models import snapshot
from tasks.core.publish import Repository
from tasks.core.stage import Folder
from tasks.core.tokenizer_contract import LOCAL_KEYS

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
PAIR_COLUMNS = ("row", "prompt", "chosen", "rejected", "score_chosen", "score_rejected", "edits")
COMPLETION_COLUMNS = ("row", "prompt", "completion", "sample", "score", "finished")
SPLITS = ("train", "validation", "test")


def build_release(
    folder: Path,
    known: Known,
    targets: Sequence[Repository],
    version: str,
    people: Mapping[str, str],
) -> dict[str, int]:
    """Write dataset/, adapter/ and model/ below `folder`; returns the rows of each split.

    `people`: by part, what people wrote into the card that stands on the Hub (cards.peoples).
    """
    base = snapshot(known.base)
    repos = {target.part: target.repo for target in targets}
    counts = write_dataset(folder / "dataset", known.pairs, known.account)
    write_report(folder / "dataset" / "report", known.checks)
    write_adapter(folder / "adapter", known.adapter.path / "adapter", base)
    write_model(folder / "model", known.merged.path, base)
    draw_pictures(folder, known, f"{repos['model']} {version}")
    name = repos["model"].rpartition("/")[2]
    recipe = folder / "model" / published_recipe.NAME
    published_recipe.write_recipe(recipe, name, known.settings, known.base, known.raw.facts)
    write_cards(folder, card_facts(known, repos, version, counts), people)
    scrub(folder)
    manifest.write(folder, manifest.manifest(known, targets, version, counts, folder))
    return counts


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
    """Weights and configuration of the adapter, everything else from the base."""
    _write_weights(folder, adapter, ("adapter_model", "adapter_config"))
    copy_tokenizer(base, folder)
    _name_tokenizer_class(base, folder)


def write_model(folder: Path, merged: Path, base: Path) -> None:
    """Weights and configuration of the merged model, everything else from the base."""
    _write_weights(folder, merged, ("model", "config", "generation_config"))
    copy_tokenizer(base, folder)


def _name_tokenizer_class(base: Path, folder: Path) -> None:
    """An adapter has no config.json, by whose model_type transformers 5 may choose the class of the
    base's tokenizer, and with it rules that tokenizer.json lacks: then the class is written."""
    from transformers import AutoTokenizer

    if not (base / "tokenizer.json").exists():
        return
    ours, theirs = (
        type(AutoTokenizer.from_pretrained(place, trust_remote_code=False)).__name__
        for place in (base, folder)
    )
    if ours != theirs:
        path = folder / "tokenizer_config.json"
        told = json.loads(path.read_text()) | {"tokenizer_class": ours}
        path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")


def _write_weights(folder: Path, made: Path, stems: tuple[str, ...]) -> None:
    """Those called model.safetensors, model-00001-of-00002.safetensors, config.json and the like.

    Weights are linked, since nobody writes to them again; configurations are, when scrubbed.
    """
    folder.mkdir()
    for path in sorted(made.iterdir()):
        if path.name.startswith(stems) and path.suffix == ".safetensors":
            link(path, folder / path.name)
        elif path.name.startswith(stems) and path.suffix == ".json":
            shutil.copyfile(path, folder / path.name)


def draw_pictures(folder: Path, known: Known, title: str) -> None:
    """training.png, of every metric that training logged; before-after.png, of the answers."""
    history = json.loads((known.adapter.path / "history.json").read_text())
    best, limits = known.adapter.facts["best_step"], known.settings["watch"]["limits"]
    adapter, model = folder / "adapter", folder / "model"
    picture = adapter / "training.png"
    curves.draw(history, picture, f"Training of {title}", best_step=best, limits=limits)
    before, after = known.metrics["before"], known.metrics["after"]
    before_after.draw(before, after, adapter / "before-after.png", f"Answers of {title}")
    for path in adapter.glob("*.png"):
        shutil.copyfile(path, model / path.name)


def copy_tokenizer(base: Path, folder: Path) -> None:
    for name in TOKENIZER_FILES:
        if (base / name).exists():
            shutil.copyfile(base / name, folder / name)
    sentencepiece = folder / "tokenizer.model"
    if sentencepiece.exists() and file_digest(sentencepiece) != file_digest(
        base / "tokenizer.model"
    ):
        raise Refused(f"{sentencepiece}: not the base's bytes (sha256 differs). Run again.")


def scrub(folder: Path) -> None:
    """Drop local keys from configurations. What else may not leave is searched for by leaks.py."""
    for path in sorted(folder.rglob("*.json")):
        content = json.loads(path.read_text())
        if (kept := _without_local_keys(content)) != content:
            path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


def _without_local_keys(value: Any) -> Any:
    """At any depth: a configuration may hold those of its text and its vision model."""
    if isinstance(value, list):
        return [_without_local_keys(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {key: one for key, one in value.items() if key not in LOCAL_KEYS}
    return {key: _without_local_keys(one) for key, one in kept.items()}


def card_facts(
    known: Known, repos: Mapping[str, str], version: str, counts: Mapping[str, int]
) -> dict[str, Any]:
    """Everything the templates ask for."""
    source, settings = known.raw.facts, known.settings
    sampled = known.pairs.path / "completions.parquet"
    there = set(pl.read_parquet(sampled, columns=["split"])["split"]) if sampled.exists() else ()
    findings, crashed = report.read_findings(known.checks.path)
    before, after = known.metrics["before"], known.metrics["after"]
    servers = [(settings[section] or {}).get("endpoint") for section in ("curation", "on_policy")]
    return {
        "version": version,
        "repos": repos,
        "base": known.base,
        "upstreams": known.upstreams,
        "source": source,
        "from_hub": published_recipe.of_the_hub(source),
        "counts": counts,
        "changed": known.changed.sentence if known.changed else None,
        "account": known.account.facts,
        "set_aside": [
            {"code": code, "meaning": CODES[code], "rows": rows}
            for code, rows in known.account.facts["reasons"].items()
        ],
        "checks": manifest.checks(known),
        "checks_counted": telling.counts(findings, crashed),
        "names": _names(settings["curation"]),
        "corrected": "edits" in pl.read_parquet_schema(known.pairs.path / "rows.parquet"),
        "judge": known.pairs.facts.get("judge"),
        "server": next((one["model"] for one in servers if one), None),
        "on_policy": settings["on_policy"],
        "completions": [split for split in SPLITS if split in there],
        "injected": known.injected,
        "system_prompt": settings["reformat"]["system_prompt"],
        "settings": yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).strip(),
        "recipe": repos["model"].rpartition("/")[2],
        "files_beside": published_recipe.files_beside(settings, source),
        "shown": known.shown,
        "metrics": known.metrics,
        "model_index": {
            part: model_index(repos[part], after, repos["dataset"], version)
            for part in ("adapter", "model")
        },
        "drawn": before_after.groups(after) != [],
        "before": before,
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
