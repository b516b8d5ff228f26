"""A verified release in; main and tag of three repositories out: the last tag makes the release."""

from prefect import flow

from tasks.core.refs import Published, Staged
from tasks.core.settings import Release
from tasks.publish import link_release, promote_part, propose_release, require_promotable


@flow(name="promote-release")
def promote_release(staged: Staged, release: Release) -> Published:
    """Data set first, merged model last. Forward only: the same command again finishes it."""
    proposals = propose_release(staged, release)
    if any(one.status == "open" for one in proposals):
        return Published(repositories=[], proposals=proposals)
    require_promotable(staged)
    dataset, adapter, model = staged.written.targets
    published = [
        promote_part(staged, dataset),
        promote_part(staged, adapter),
        promote_part(staged, model),
    ]
    return link_release(staged, published)
