"""Runs of a worker on this machine -> ended in order before the worker stops, or said to be dead.

in   a Prefect client, the worker's name, as each of its runs is labelled
out  runs that ended by themselves on SIGTERM: what they held is closed, their last step is kept;
     others are Crashed. Each can be retried; https://docs.prefect.io/v3/concepts/states
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Crashed

UNDER_WAY = {"type": {"any_": [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]}}


def end_runs(client: SyncPrefectClient, worker: str, seconds: float) -> int:
    """How many were told to end; returns once they have, or after these seconds."""
    runs = [run for run in _runs_of(client, worker) if _process_of(run)]
    for run in runs:
        with contextlib.suppress(ProcessLookupError):  # ended since
            if pid := _process_of(run):
                os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while any(_process_of(run) for run in runs) and time.monotonic() < deadline:
        time.sleep(0.2)
    return len(runs)


def mark_dead_runs(client: SyncPrefectClient, worker: str, why: str) -> int:
    """How many runs are under way by name, without a process: Crashed from now on."""
    dead = [run for run in _runs_of(client, worker) if not _process_of(run)]
    for run in dead:
        for each in [*_below(client, run), run]:
            client.set_flow_run_state(each.id, Crashed(message=why), force=True)
    return len(dead)


def _runs_of(client: SyncPrefectClient, worker: str) -> list[FlowRun]:
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate({"state": UNDER_WAY}))
    return [run for run in runs if run.labels.get("prefect.worker.name") == worker]


def _below(client: SyncPrefectClient, run: FlowRun) -> Iterator[FlowRun]:
    """Its sub-flows that are under way: they were in the same process."""
    wanted = {"state": UNDER_WAY, "parent_flow_run_id": {"any_": [run.id]}}
    for each in client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(wanted)):
        yield from _below(client, each)
        yield each


def _process_of(run: FlowRun) -> int | None:
    """Its process on this machine, if it lives. A number alone may be somebody else's by now."""
    pid = run.infrastructure_pid
    if not (pid or "").isdecimal():
        return None
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    return int(pid) if f"PREFECT__FLOW_RUN_ID={run.id}".encode() in environment else None
