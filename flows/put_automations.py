"""The automations of deploy/automations -> a Prefect server, each once, however often this is run.

in   PREFECT_API_URL; YAML files of the form that `prefect automation create --from-file` reads
out  each created, or brought up to date by its name. Whoever switched one off keeps it off.
     https://docs.prefect.io/v3/concepts/automations

    python -m flows.put_automations
"""

from pathlib import Path

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.schemas.automations import AutomationCore

from tasks.core.errors import InputError
from tasks.core.stage import ROOT

AUTOMATIONS = ROOT / "deploy" / "automations"


def put_automations(client: SyncPrefectClient, folder: Path = AUTOMATIONS) -> list[str]:
    """Names of those that are on the server now; `prefect automation create` would only add."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise InputError(
            f"{folder}: no automation is there, and without the one for crashes a run whose "
            "machine died stays Running for ever. Run this from a whole checkout."
        )
    names = []
    for path in files:
        ours = AutomationCore.model_validate(yaml.safe_load(path.read_text("utf-8")))
        there, *surplus = client.read_automations_by_name(ours.name) or [None]
        if there is None:
            client.create_automation(ours)
        else:
            as_it_was = ours.model_copy(update={"enabled": there.enabled})
            client.update_automation(there.id, as_it_was)
        for one in surplus:
            client.delete_automation(one.id)
        names.append(ours.name)
    return names


if __name__ == "__main__":
    with get_client(sync_client=True) as server:
        print("\n".join(put_automations(server)))
