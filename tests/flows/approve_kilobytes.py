"""The root flow's way from staging to promoting, on a release of kilobytes: no model, no training.

in   a folder as small_release or kilobytes leaves it, with the digest of its inputs beside it
out  the release, once a person said yes
"""

import json
from pathlib import Path

from prefect import flow

from flows.promote_release import promote_release
from tasks.approve import (
    await_approval,
    require_answerable,
    require_same_files,
    settle_questions,
)
from tasks.core.publish import next_version, repositories
from tasks.core.refs import News, Written
from tasks.core.settings import Release
from tasks.core.stage import Folder, content_digest
from tasks.publish import place_release


@flow(name="approve-kilobytes")
def approve_kilobytes(folder: str, evaluation: str, release: Release) -> None:
    """`folder` is read anew after each restart, as a recipe's inputs are."""
    require_answerable(release)
    path, name = Path(folder), release.repository
    content = json.loads((path / "model" / "release.json").read_text())["content"]
    news = News(digest=(path.with_suffix(".inputs")).read_text(), standing=None)
    settle_questions(name, news)
    version, finished = next_version(name, content)
    written = Written(
        folder=Folder(stage="release", path=path, digest=content_digest(path)),
        targets=repositories(name),
        version=version,
        content=content,
        finished=finished,
        private=False,
        changed="",
    )
    require_same_files(written)
    staged = place_release(written)
    await_approval(name, news, staged, evaluation, release)
    promote_release(staged, release)
