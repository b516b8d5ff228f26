"""What a run leaves for people: runs/RUN/release.json; `latest` is the last that had news."""

import json
import time
from typing import Any

from prefect.context import FlowRunContext

from tasks.core import approval
from tasks.core.housekeeping import lines_of
from tasks.core.publish import Repository, published, repositories
from tasks.core.refs import Aligned, News, Published, Staged
from tasks.core.settings import Release
from tasks.gate import shown_answers
from tasks.staged import log, run_folder, stage_task
from tasks.story import markdown

APPROVAL = {"digest", "asked", "answered", "note", "verdict"}


@stage_task("record")
def write_record(staged: Staged, aligned: Aligned, released: Published) -> str:
    """Path of the record: manifest, commit shas, both answers, the seconds of each stage."""
    written = staged.written
    manifest = json.loads((written.folder.path / "model" / "release.json").read_text())
    asked = approval.read(run_folder())
    heads = ("question", "before", "after")
    path = _write(
        manifest
        | {
            "repositories": {one.part: _place(one) for one in released.repositories},
            "approval": asked.model_dump(mode="json", include=APPROVAL) if asked else None,
            "proposals": [one.model_dump() for one in released.proposals],
            "staged": {one.part: one.commit for one in staged.placed},
            "new_commits": sum(one.committed for one in released.repositories),
            "answers": [
                dict(zip(heads, row, strict=True))
                for row in shown_answers(aligned.before, aligned.after)
            ],
            "seconds": seconds(),
        }
    )
    run = run_folder()
    (unfinished := run.with_name(f".latest.{run.name}")).symlink_to(run.name)
    unfinished.rename(run.with_name("latest"))
    return path


@stage_task("record")
def record_nothing_new(repository: str, news: News, release: Release) -> str:
    """Path of the record of a run that stopped after its preflight."""
    version = str(news.standing)
    standing = [published(target, version) for target in repositories(repository)]
    told = f"inputs, settings and sources are those of {version}: no commit, no tag, no upload"
    if release.version not in (None, version):
        told += f"; release.version {release.version} is not made for the same release"
    log(f"nothing new: {told}")
    markdown("release", "Nothing new", f"The {told}.", told)
    return _write(
        {
            "version": version,
            "digest": news.digest,
            "nothing_new": told,
            "repositories": {one.part: _place(one) for one in standing},
            "new_commits": 0,
            "seconds": seconds(),
        }
    )


def _place(one: Repository) -> dict[str, str]:
    return one.model_dump(include={"repo", "commit", "version"}) | {"url": one.url}


def _write(record: dict[str, Any]) -> str:
    text = json.dumps(record, indent=2, ensure_ascii=False)
    (path := run_folder() / "release.json").write_text(f"{text}\n")
    return str(path)


def seconds() -> list[dict[str, Any]]:
    """Each stage's own seconds in this run, then Prefect's share: what the flow took besides."""
    stages = lines_of(run_folder())
    context = FlowRunContext.get()
    if context is not None:
        began = context.start_time.timestamp()  # a resumed run has stages of another process, too
        ours = sum(stage["seconds"] for stage in stages if stage["ended"] > began)
        share = time.time() - began - ours
        stages.append({"stage": "prefect", "seconds": round(share, 3), "cached": False})
    return stages
