"""The end of a run, noted in its folder and told to a chat, whichever way it ended.

    @flow(name="release-model", **AT_THE_END)

The chat's address comes from PAIRPRESS_WEBHOOK_URL or the Secret block `pairpress-webhook`; without
either nothing is sent. Prefect calls hooks by the names of their arguments: flow, flow_run, state.
After a crash the worker calls them, in its own process.
"""

import json
import os
from pathlib import Path
from typing import Any

from prefect import get_client, runtime
from prefect.blocks.system import Secret
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import MissingResult
from prefect.logging.loggers import flow_run_logger
from prefect.utilities.urls import url_for

from tasks.core import housekeeping, masking
from tasks.core.alerts import Alert, NotTold, post
from tasks.core.errors import InputError, Refused
from tasks.core.hub import HubUnavailable
from tasks.core.stage import work_folder

BLOCK = "pairpress-webhook"


def end_run(flow: Any, flow_run: FlowRun, state: State[Any]) -> None:
    """Completed, failed, crashed or cancelled."""
    folder = work_folder() / "runs" / str(flow_run.id)
    verdict, links = _release(folder) if state.is_completed() else (_trouble(state), [])
    housekeeping.note_end(folder, state.name or state.type.value)
    _tell(flow.name, flow_run, verdict, links)


def tell_waiting(question: str) -> None:
    """From a run that is about to wait for a person."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(runtime.flow_run.id)
    _tell(runtime.flow_run.flow_name, run, f"waits for an answer: {question}", [])


AT_THE_END: dict[str, Any] = {
    name: [end_run] for name in ("on_completion", "on_failure", "on_crashed", "on_cancellation")
}


def _tell(what: str, run: FlowRun, verdict: str, links: list[tuple[str, str]]) -> None:
    if run.parameters.get("rehearsal") or not (url := _webhook()):
        return
    if run.deployment_id is not None:
        with get_client(sync_client=True) as client:
            what += f"/{client.read_deployment(run.deployment_id).name}"
    page = url_for(run)
    links = [*links, ("run", page)] if page else links
    try:
        post(Alert(what=what, run=run.name, verdict=verdict, links=links), url)
    except NotTold as error:
        flow_run_logger(run).warning(f"the chat was not told of this run: {error}")


def _webhook() -> str | None:
    if url := os.environ.get(masking.WEBHOOK_URL, "").strip():
        return url
    try:
        url = str(Secret.load(BLOCK).get()).strip()
    except ValueError:  # there is no such block
        return None
    masking.learned.add(url)
    return url or None


def _release(folder: Path) -> tuple[str, list[tuple[str, str]]]:
    """What a finished run made, and where it is."""
    if not (record := folder / "release.json").exists():
        return "finished.", []
    release = json.loads(record.read_text())
    made = [(one["repo"], one["url"]) for one in release["repositories"].values()]
    if "nothing_new" in release:
        return f"nothing new, {release['version']} stands.", made
    if asked := release.get("proposals"):
        return f"{release['version']} is proposed and waits to be merged.", [
            (one["repo"], one["url"]) for one in asked
        ]
    return f"released {release['version']}.", made


def _trouble(state: State[Any]) -> str:
    """A no by a gate or a person is told apart from a mistake, and both from a bug."""
    if not state.is_failed():
        said = "crashed" if state.is_crashed() else "cancelled"
        return f"{said}. {state.message or ''}".rstrip()
    try:
        error = state.result(raise_on_failure=False)
    except MissingResult:  # told by the server: it keeps the words alone
        return f"failed. {state.message or ''}".rstrip()
    words = {Refused: "refused", InputError: "cannot run", HubUnavailable: "the Hub was away"}
    said = next((told for kind, told in words.items() if isinstance(error, kind)), None)
    return f"{said}: {error}" if said else f"failed: {type(error).__name__}: {error}"
