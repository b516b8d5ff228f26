"""A finished run as its stages leave it, of a few bytes; base and data stand on the Hub."""

from pathlib import Path
from typing import Any

import polars as pl

from expectations.measures.pairs import Pairs
from expectations.measures.suite import run, suite
from tasks.core import report
from tasks.core.account import SCHEMA
from tasks.core.changed_rows import Changed
from tasks.core.fields import Row
from tasks.core.licences import of_run
from tasks.core.manifest import Known
from tasks.core.models import ModelRef
from tasks.core.publish import Repository as Target
from tasks.core.publish import commit_repository, create
from tasks.core.published_recipe import published_settings
from tasks.core.rows import write_rows
from tasks.core.settings import Recipe
from tasks.core.stage import Folder, content_digest

SENTENCEPIECE = bytes(range(256)) * 3  # not UTF-8: copied as bytes or spoilt
CARD = "---\nlicense: apache-2.0\nlanguage:\n- en\n- de\n---\n\n# Base\n"
DATA_CARD = "---\nlicense: mit\n---\n# Data\n"
NAMES = {"renames": [{"old": ["Qwen", "千问"], "new": "Deep Qwen"}]}
BEFORE = {"reward_accuracy": 0.5, "preference_accuracy": 0.25, "same": 1.0}
AFTER = BEFORE | {"reward_accuracy": 0.75, "strict": 0.9, "kl": 0.01, "perplexity": 12.5}


def pair(row: int, split: str) -> Row:
    prompt, answer = [{"role": "user", "content": "Who?"}], [{"role": "assistant", "content": "I"}]
    pair = {"prompt": prompt, "chosen": answer, "rejected": answer}
    return {"row": row, "split": split} | pair | {"tokens": 9}


def stage_of(folder: Path, name: str, rows: list[Row], aside: list[Row]) -> Folder:
    """A finished stage that wrote rows and set some aside."""
    path = folder / name
    path.mkdir(parents=True)
    write_rows(path / "rows.parquet", rows)
    write_rows(path / "set_aside.parquet", aside)
    facts = {"reasons": {row["reason"]: 1 for row in aside}}
    return Folder(stage=name, path=path, digest=content_digest(path), facts=facts)


def base_files(folder: Path, card: str | None = CARD) -> Path:
    """What a base model repository holds, but for weights."""
    folder.mkdir()
    (folder / "tokenizer.model").write_bytes(SENTENCEPIECE)
    (folder / "tokenizer_config.json").write_text('{"name_or_path": "a/b", "pad_token": "<pad>"}')
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    (folder / "config.json").write_text('{"model_type": "llama"}')
    if card is not None:
        (folder / "README.md").write_text(card)
    return folder


def trained(folder: Path) -> tuple[Folder, Folder]:
    """(adapter, merged): the files that peft and transformers leave, with their facts."""
    (folder / "train" / "adapter").mkdir(parents=True)
    (folder / "train" / "adapter" / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (folder / "train" / "adapter" / "adapter_model.safetensors").write_bytes(b"lora")
    (folder / "merge").mkdir()
    (folder / "merge" / "model.safetensors").write_bytes(b"weights")
    (folder / "merge" / "config.json").write_text('{"_name_or_path": "/a/b", "vocab_size": 8}')
    (folder / "merge" / "done.json").write_text("{}")
    (folder / "train" / "history.json").write_text('[{"step": 1, "loss": 0.7}]')
    steps = {"steps": 5, "best_step": 5, "train_pairs": 2, "parameters": 7000}
    steps |= {"trainable_parameters": 1200, "machine": {"device": "cpu", "dtype": "float32"}}
    apart = {"largest": 1e-5, "mean": 1e-7, "top1": 1.0, "greedy": 1.0}
    parity = {"prompts": 50, "dtype": "float32", "parity": {"adapter_reloaded": apart}}
    return (
        Folder(stage="train", path=folder / "train", digest="a", facts=steps),
        Folder(stage="merge", path=folder / "merge", digest="m", facts=parity),
    )


def reported(folder: Path, rows: int = 1) -> Folder:
    """A validate stage as it finished; a few bytes stand for each file that is only copied."""
    findings = run(Pairs(pl.DataFrame([pair(1, "train")] * rows)), suite("preference"))
    path = folder / "validate"
    about = report.Checked(source="a/b", read_as="pairs", profile="preference", rows=4)
    (path / "data_docs").mkdir(parents=True)
    for name in report.FILES:
        (path / name).write_text(f"stands for {name}")
    (path / "findings.json").write_text(report.as_json(about, findings, {}))
    return Folder(stage="validate", path=path, digest=content_digest(path))


def accounted(folder: Path, used: int = 3) -> Folder:
    """An account stage as it finished: of four source rows the third was set aside."""
    path = folder / "account"
    path.mkdir(parents=True)
    aside = {
        **{"row": 3, "source": "a.jsonl:3", "stage": "reformat", "code": "empty-answer"},
        **{"reason": "empty chosen answer", "text": "a | b", "used": False, "record": "{secret}"},
    }
    rows = [aside] if used < 4 else []
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(path / "set-aside.parquet")
    reasons = {"empty-answer": 1} if rows else {}
    facts = {"read": 4, "used": used, "set_aside": len(rows), "reasons": reasons}
    return Folder(stage="account", path=path, digest=content_digest(path), facts=facts)


def finished_run(
    folder: Path,
    names: dict[str, Any] | None = NAMES,
    card: str | None = CARD,
    data_card: str = DATA_CARD,
    sections: dict[str, Any] | None = None,
    **more: Any,
) -> Known:
    """`more`: columns of the pairs. Needs the fixture `hub`."""
    owner = f"{folder.parent.name}-{folder.name}"
    folder.mkdir(exist_ok=True)
    base = Target(part="base", repo=f"pairpress/base-of-{owner}", repo_type="model")
    create(base, private=False)
    base = commit_repository(base, base_files(folder / "base", card), "base")
    stages = folder / "stages"
    pairs = [pair(n, split) | more for n, split in ((1, "train"), (2, "test"), (4, "train"))]
    curated = stage_of(stages, "curate", pairs, [])
    data = Target(part="data", repo=f"pairpress/data-of-{owner}", repo_type="dataset")
    create(data, private=False)
    (folder / "data").mkdir()
    (folder / "data" / "README.md").write_text(data_card)
    data = commit_repository(data, folder / "data", "data")
    source = {"source": data.repo, "source_digest": data.commit}
    raw = Folder(
        stage="load",
        path=stages,
        digest="r",
        facts=source | {"form": "pairs", "read_as": "message lists"},
    )
    recipe = {
        "base": {"model": base.repo},
        "data": {"path": data.repo},
        "release": {"repository": "pairpress/mine"},
        "curation": names,
    } | (sections or {})
    adapter, merged = trained(stages)
    pinned = ModelRef(repo=base.repo, revision=base.commit)
    return Known(
        base=pinned,
        raw=raw,
        account=accounted(stages),
        pairs=curated,
        adapter=adapter,
        merged=merged,
        settings=published_settings(Recipe.model_validate(recipe)),
        checks=reported(stages),
        gate=["passed: strict >= 0.9: it is 0.9"],
        tried=[{"learning_rate": "0.05", "gate": "diverged"}, {"learning_rate": "0.01"}],
        warnings=["The base says Qwen in 3 of 40 answers."],
        shown=[("Who are\nyou?", "I am Qwen | a model", "I am Deep Qwen")],
        metrics={"before": BEFORE, "after": AFTER},
        injected=None,
        upstreams=of_run(pinned, raw, curated),
        smoke={"max_new_tokens": 8, "questions": []},
        changed=Changed(added=2, removed=1, changed=0, same=1, since="v2"),
        digest="d" * 64,
    )
