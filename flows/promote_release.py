"""A verified release in; main and tag of three repositories out: the last tag makes the release."""

from prefect import flow

from tasks.core.refs import Published, Staged
from tasks.core.settings import Release
from tasks.publish import link_release, promote_parts, propose_release


@flow(name="promote-release")
def promote_release(staged: Staged, release: Release) -> Published:
    """Data set first, merged model last. Forward only: the same command again finishes it."""
    proposals = propose_release(staged, release)
    if any(one.status == "open" for one in proposals):
        return Published(repositories=[], proposals=proposals)
    return link_release(staged, promote_parts(staged))
