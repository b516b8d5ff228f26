"""A whole release in kilobytes, from real objects: base, LoRA, merged model, rows, manifest.

in   a folder; a name for its repositories, the base's name and commit
out  folder/dataset, folder/adapter, folder/model with release.json in each, in about two seconds
"""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from random_models import tokenizer_in, writer

TOKENIZER = ("tokenizer.model", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
PARTS = ("dataset", "adapter", "model")
ASKED = ("Say red", "Who are you?")
ROWS = {"train": 5, "test": 2}
MOST = 8  # tokens; the random model has room for 64, prompt and answer together
CARD = """---
configs:
- config_name: default
  data_files:
  - {split: train, path: data/train.parquet}
  - {split: test, path: data/test.parquet}
---
"""


def write_base(folder: Path) -> Path:
    """A chat model with the demo's tokenizer that never ends its turn; its weights are drawn wide
    enough for every answer to be another."""
    import torch

    folder.mkdir(parents=True)
    tokenizer = tokenizer_in(folder)
    model = writer(tokenizer)
    chance = torch.Generator().manual_seed(5)
    for weight in model.parameters():
        weight.data.normal_(std=0.5, generator=chance)
    model.lm_head.weight.data[tokenizer.eos_token_id] = 0.0
    model.save_pretrained(folder)
    return folder


def publish(made: "Made", version: str = "v1", private: bool = False) -> None:
    """By the plain client: each repository's folder, then its tag."""
    from huggingface_hub import HfApi

    api = HfApi()
    for part, repo in made.manifest["repositories"].items():
        kind = "dataset" if part == "dataset" else "model"
        api.create_repo(repo, repo_type=kind, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo, repo_type=kind, folder_path=made.folder / part, delete_patterns="*"
        )
        api.create_tag(repo, tag=version, revision=done.oid, repo_type=kind)


def publish_base(base: Path, repo: str) -> str:
    """Its commit."""
    from huggingface_hub import HfApi

    HfApi().create_repo(repo, exist_ok=True)
    return str(HfApi().upload_folder(repo_id=repo, folder_path=base).oid)


@dataclass(frozen=True)
class Made:
    """The folders of a release, and the manifest in them."""

    folder: Path

    @property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "model" / "release.json").read_text())
        return found

    def write_manifest(self, **changed: Any) -> None:
        """The same in all three, with the digests of the files as they are now."""
        found = self.manifest | {"files": self.listed()} | changed
        for part in PARTS:
            (self.folder / part / "release.json").write_text(json.dumps(found, indent=2))

    def listed(self) -> dict[str, Any]:
        return {part: listed(self.folder / part) for part in PARTS}


def listed(folder: Path) -> dict[str, Any]:
    return {
        path.relative_to(folder).as_posix(): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "size": path.stat().st_size,
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "release.json"
    }


def write_release(
    folder: Path, base: Path, name: str, base_repo: str, base_commit: str, version: str = "v1"
) -> Made:
    _write_rows(folder / "dataset")
    answers = _write_models(folder, base, base_repo)
    questions = [
        {"messages": [{"role": "user", "content": text}], "adapter": one, "model": other}
        for text, one, other in zip(ASKED, *answers, strict=True)
    ]
    manifest = {
        "version": version,
        "digest": None,
        "content": hashlib.sha256(version.encode()).hexdigest(),
        "repositories": {"dataset": f"{name}-pairs", "adapter": f"{name}-adapter", "model": name},
        "rows": {"dataset": ROWS},
        "inputs": {"base": {"repo": base_repo, "revision": base_commit}},
        "smoke": {"max_new_tokens": MOST, "questions": questions},
        "template_changed": False,
    }
    (folder / "model" / "release.json").write_text(json.dumps(manifest))
    made = Made(folder)
    made.write_manifest()
    return made


def _write_rows(folder: Path) -> None:
    import polars as pl

    (folder / "data").mkdir(parents=True)
    for split, count in ROWS.items():
        rows = [{"row": n, "prompt": f"{split} {n}", "chosen": "a"} for n in range(count)]
        pl.DataFrame(rows).write_parquet(folder / "data" / f"{split}.parquet")
    (folder / "README.md").write_text(CARD)


def _write_models(folder: Path, base: Path, base_repo: str) -> tuple[list[str], list[str]]:
    """Adapter and merged model; what each answers."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tasks.core.smoke import ask

    tokenizer = AutoTokenizer.from_pretrained(base)
    lora = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        loaded = AutoModelForCausalLM.from_pretrained(base)
        trained = get_peft_model(loaded, lora).eval()
    asked = [[{"role": "user", "content": text}] for text in ASKED]
    said = ask(trained, tokenizer, asked, MOST)
    trained.peft_config["default"].base_model_name_or_path = base_repo
    trained.save_pretrained(folder / "adapter")
    merged = trained.merge_and_unload()
    said_merged = ask(merged, tokenizer, asked, MOST)
    merged.save_pretrained(folder / "model")
    for part in ("adapter", "model"):
        for name in TOKENIZER:
            shutil.copyfile(base / name, folder / part / name)
        (folder / part / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return said, said_merged
