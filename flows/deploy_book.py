"""`prefect deploy --all` that leaves schedules as people have set them.

in   PREFECT_API_URL; prefect.yaml here
out  its deployments on that server. Prefect alone would turn nightly off again with each deploy,
     since the book says `active: false`

    python -m flows.deploy_book
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.client.orchestration import SyncPrefectClient, get_client


@contextmanager
def schedules_kept(client: SyncPrefectClient) -> Iterator[None]:
    """What was on before is on after, by deployment and slug."""
    before = {
        (one.id, s.slug) for one in client.read_deployments() for s in one.schedules if s.active
    }
    try:
        yield
    finally:
        for one in client.read_deployments():
            for schedule in one.schedules:
                if (one.id, schedule.slug) in before and not schedule.active:
                    client.update_deployment_schedule(one.id, schedule.id, active=True)


if __name__ == "__main__":
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", *sys.argv[1:]]
    with get_client(sync_client=True) as server, schedules_kept(server):
        code = subprocess.run(command, check=False).returncode
    sys.exit(code)
