"""The demo's own base model and raw conversations, trained and put on the Hub it runs against.

From here on both are loaded from that Hub like any other, at a pinned commit.
"""

import json
from pathlib import Path
from typing import Any

from demo import texts
from tasks.core.progress import progress
from tasks.core.publish import Repository, commit_repository, create
from tasks.core.settings import Seed
from tasks.core.stage import Folder
from tasks.staged import passing, stage_task, staged

DATASET_CARD = """\
---
license: apache-2.0
language:
- en
task_categories:
- text-generation
configs:
- config_name: default
  data_files: conversations.json
---

# Raw identity conversations

{rows} conversations of two turns in ShareGPT form, in which a small model says who it is. Raw
material of the pairpress demo, written for it.
"""


@stage_task("train tiny base")
def train_tiny_base(seed: Seed) -> Folder:
    def make(folder: Path) -> dict[str, Any]:
        from demo import tiny_chat  # and torch with it

        with progress("tiny base", seed.steps, "step") as advance:
            return dict(tiny_chat.build(folder, steps=seed.steps, progress=lambda *_: advance(1)))

    corpus = {path.name: path.read_text() for path in sorted(texts.CORPUS.iterdir())}
    made_from = {"corpus": corpus, "steps": seed.steps}
    return staged(
        "tiny-base",
        made_from,
        ("demo.tiny_chat", texts),
        make,
        ("torch", "transformers", "sentencepiece"),
    )


@stage_task("write raw conversations")
def write_conversations() -> Folder:
    rows = texts.conversations()

    def make(folder: Path) -> dict[str, Any]:
        (folder / "conversations.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False))
        (folder / "README.md").write_text(DATASET_CARD.format(rows=len(rows)))
        return {"rows": len(rows)}

    return staged("raw-conversations", {"rows": rows}, (texts,), make)


@stage_task("seed hub", retries=2, retry_delay_seconds=2, retry_condition_fn=passing)
def put_on_hub(seed: Seed, model: Folder, conversations: Folder) -> list[Repository]:
    """One commit in each repository; none when the Hub holds these bytes already."""
    targets = [
        (Repository(part="base model", repo=seed.model, repo_type="model"), model),
        (Repository(part="raw data", repo=seed.dataset, repo_type="dataset"), conversations),
    ]
    seeded = []
    for target, folder in targets:
        create(target, private=False)
        message = f"The {target.part} of the pairpress demo"
        seeded.append(commit_repository(target, folder.path, message))
    return seeded
