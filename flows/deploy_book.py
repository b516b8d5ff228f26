"""`prefect deploy --all` that leaves schedules as people have set them.

in   PREFECT_API_URL; prefect.yaml here
out  its deployments on that server. Prefect alone would turn nightly off again with each deploy,
     since the book says `active: false`

    python -m flows.deploy_book
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient, get_client

from tasks.core.stage import work_folder

NAME = "schedules-on.json"


@contextmanager
def schedules_kept(client: SyncPrefectClient, work: Path) -> Iterator[None]:
    """What was on before is on after, by deployment and slug; kept on disk meanwhile, so that the
    next deploy puts back what a killed one has turned off."""
    place = work / NAME
    on = {
        f"{one.id} {s.slug}" for one in client.read_deployments() for s in one.schedules if s.active
    }
    if place.exists():
        on |= set(json.loads(place.read_text()))
    if on:
        unfinished = place.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(sorted(on)))
        unfinished.rename(place)
    try:
        yield
    finally:
        for one in client.read_deployments():
            for schedule in one.schedules:
                if f"{one.id} {schedule.slug}" in on and not schedule.active:
                    print(f"{one.name}: its schedule is on, as before", file=sys.stderr)
                    client.update_deployment_schedule(one.id, schedule.id, active=True)
        place.unlink(missing_ok=True)


if __name__ == "__main__":
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", *sys.argv[1:]]
    with get_client(sync_client=True) as server, schedules_kept(server, work_folder()):
        code = subprocess.run(command, check=False).returncode
    sys.exit(code)
