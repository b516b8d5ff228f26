"""What people read of a run without opening a log: its artifacts, and one page that lists them.

in   key, title, Markdown and a gist of one line, as each stage has them; how far long work has come
out  artifacts on the page of the whole run, its sub-flows' too, each key once, also after a retry
     https://docs.prefect.io/v3/concepts/artifacts
"""

import base64
import json
import re
from pathlib import Path
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.exceptions import PrefectHTTPStatusError
from prefect.runtime import flow_run, task_run

from tasks.core import progress
from tasks.core.masking import masked
from tasks.core.stage import looking
from tasks.staged import run_folder

SUMMARY, TOLD = "summary", "story.json"  # the key of the page; what was told already, by title
PICTURE = re.compile(r"(!\[[^\]]*\]\(data:image/[^)]*\))")
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def markdown(key: str, title: str, text: str, gist: str = "") -> None:
    """A page of this run; `gist` stands beside its title in the run's summary."""
    if looking.get():
        return
    told, gist = _told(), masked(gist)
    summary, one = told.pop(SUMMARY, {}), told.setdefault(title, {})
    one["gist"] = gist
    shown = LINK.sub(r"\1", f"{title}: {gist}" if gist else title).replace("<br>", " ")
    with get_client(sync_client=True) as client:
        page = f"## {title}\n\n{_masked_but_pictures(text)}"
        one["id"] = _put(client, one.get("id"), key, page, shown, task_run.id)
        page = _listed(told)
        summary["id"] = _put(client, summary.get("id"), SUMMARY, page, shown, None)
    unfinished = run_folder() / f".{TOLD}.unfinished"
    unfinished.write_text(json.dumps(told | {SUMMARY: summary}, ensure_ascii=False))
    unfinished.rename(run_folder() / TOLD)


def _masked_but_pictures(text: str) -> str:
    """The settings of a run may hold a password in an address; a picture's bytes mean nothing."""
    parts = PICTURE.split(text)
    return "".join(one if PICTURE.fullmatch(one) else masked(one) for one in parts)


def _told() -> dict[str, dict[str, str]]:
    """A retried run tells its finished stages again, from a new process: they are told once."""
    place = run_folder() / TOLD
    found: dict[str, dict[str, str]] = json.loads(place.read_text()) if place.is_file() else {}
    return found


def _listed(told: dict[str, dict[str, str]]) -> str:
    lines = [
        f"| [{cell(title)}](/artifacts/artifact/{one['id']}) | {cell(one['gist'])} |"
        for title, one in told.items()
    ]
    return "\n".join(["## This run so far", "", "| page | in short |", "|---|---|", *lines])


def _put(
    client: SyncPrefectClient,
    known: str | None,
    key: str,
    data: str | float,
    shown: str,
    task: str | None,
) -> str:
    """Id of the artifact, brought up to date; made where there is none, or somebody has deleted it.
    The page of a run shows no artifact of its sub-flows, so all belong to the root."""
    if known is not None:
        try:
            client.update_artifact(UUID(known), ArtifactUpdate(data=data, description=shown))
        except PrefectHTTPStatusError as error:
            if error.response.status_code != 404:
                raise
        else:
            return known
    made = ArtifactCreate(
        key=key,
        type="markdown" if isinstance(data, str) else "progress",
        data=data,
        description=shown,
        flow_run_id=flow_run.root_flow_run_id,
        task_run_id=task,
    )
    return str(client.create_artifact(made).id)


def cell(text: str) -> str:
    """Text as a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def embedded(picture: Path) -> str:
    """A PNG as Markdown that holds its bytes: the server that shows the page has not our files."""
    data = base64.b64encode(picture.read_bytes()).decode()
    return f"![{picture.stem}](data:image/png;base64,{data})"


def _on_run_page(title: str, done: int, total: int | None) -> None:
    """One progress bar a task on the run page, which says what it is of just now."""
    if task_run.id is None or not total:
        return
    key = f"progress-{task_run.task_name.replace(' ', '-')}"
    share, shown = 100 * done / total, f"{title}: {done:,} of {total:,}"
    try:
        with get_client(sync_client=True) as client:
            known = _bars.get(task_run.id)
            _bars[task_run.id] = _put(client, known, key, share, shown, task_run.id)
    except httpx.HTTPError as error:  # a bar is not worth a night's work
        get_run_logger().debug(f"progress of {title} not shown: {error}")


_bars: dict[str, str] = {}  # by task run
progress.listeners.append(_on_run_page)
