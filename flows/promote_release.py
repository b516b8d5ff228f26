"""A staged release in, three repositories on the Hub out: one commit each, then its tag."""

from prefect import flow

from tasks.core.publish import Repository
from tasks.core.refs import Staged
from tasks.core.settings import Release
from tasks.publish import link_release, publish_part


@flow(name="promote-release")
def promote_release(staged: Staged, release: Release) -> list[Repository]:
    """Data set first, merged model last: with its tag the release exists. Run again to finish."""
    dataset, adapter, model = staged.targets
    published = [
        publish_part(staged, dataset, release.private),
        publish_part(staged, adapter, release.private),
        publish_part(staged, model, release.private),
    ]
    return link_release(published)
