"""What a run leaves for people: .pairpress/runs/RUN/release.json, and `latest` beside it."""

import json
import time
from typing import Any

from prefect.context import FlowRunContext

from tasks.core.publish import Repository
from tasks.core.refs import Aligned, Staged
from tasks.gate import shown_answers
from tasks.staged import run_folder, stage_task


@stage_task("record")
def write_record(staged: Staged, aligned: Aligned, published: list[Repository]) -> str:
    """Path of the record: manifest, commit shas, both answers, the seconds of each stage."""
    manifest = json.loads((staged.folder.path / "model" / "release.json").read_text())
    repositories = {
        one.part: {"repo": one.repo, "url": one.url, "commit": one.commit, "version": one.version}
        for one in published
    }
    answers = shown_answers(aligned.before, aligned.after)
    record = manifest | {
        "repositories": repositories,
        "new_commits": sum(one.committed for one in published),
        "answers": [
            dict(zip(("question", "before", "after"), row, strict=True)) for row in answers
        ],
        "seconds": seconds(),
    }
    run = run_folder()
    (run / "release.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    latest = run.with_name("latest")
    unfinished = run.with_name(f".latest.{run.name}")
    unfinished.symlink_to(run.name)
    unfinished.rename(latest)
    return str(run / "release.json")


def seconds() -> list[dict[str, Any]]:
    """Each stage's own seconds in this run, then Prefect's share: what the flow took besides."""
    lines = (run_folder() / "stages.jsonl").read_text().splitlines()
    stages: list[dict[str, Any]] = [json.loads(line) for line in lines]
    context = FlowRunContext.get()
    if context is not None:
        whole = time.time() - context.start_time.timestamp()
        share = whole - sum(stage["seconds"] for stage in stages)
        stages.append({"stage": "prefect", "seconds": round(share, 3), "cached": False})
    return stages
