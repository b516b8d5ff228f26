"""Finished stages in, the release's folders on this disk out: read before anything leaves."""

from prefect import flow

from tasks.core.models import ModelRef
from tasks.core.refs import Aligned, Prepared, Staged
from tasks.core.settings import Recipe
from tasks.publish import write_release


@flow(name="stage-release")
def stage_release(
    repository: str, base: ModelRef, prepared: Prepared, aligned: Aligned, recipe: Recipe
) -> Staged:
    """Data set, adapter and merged model with cards and release.json, under the next version."""
    return write_release(repository, base, prepared, aligned, recipe)
