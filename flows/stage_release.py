"""Finished stages in, a verified release on branches of the Hub out: nobody reads it there yet."""

from prefect import flow

from tasks.approve import require_none_asked, require_same_files
from tasks.core.models import ModelRef
from tasks.core.refs import Aligned, News, Prepared, Staged
from tasks.core.settings import Recipe
from tasks.publish import place_release, verify_release, write_release
from tasks.references import keep


@flow(name="stage-release")
def stage_release(
    repository: str,
    news: News,
    base: ModelRef,
    prepared: Prepared,
    aligned: Aligned,
    recipe: Recipe,
) -> Staged:
    """Written here, scanned, committed to release/VERSION, and read back by a stranger's eyes."""
    written = write_release(repository, news, base, prepared, aligned, recipe)
    require_same_files(written)
    require_none_asked(repository)
    staged = place_release(written)
    verify_release(staged)
    return keep("staged", staged)
