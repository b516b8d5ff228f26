"""What a person sees of long work on Prefect's run page, from a real server."""

import time
from collections.abc import Iterator

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[None]:
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


def test_long_work_has_a_bar_on_the_run_page_and_short_work_none(server: None) -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client

    import tasks.story  # noqa: F401  which listens to progress, as in every flow
    from tasks.core.progress import progress
    from tasks.staged import stage_task

    @stage_task("count")
    def count() -> None:
        with progress("short rows", 5, "row") as advance:
            advance(5)
        with progress("Long rows", 3, "row") as advance:
            for _ in range(3):
                time.sleep(1.1)
                advance(1)

    @flow
    def counting() -> None:
        count()

    counting()
    with get_client(sync_client=True) as client:
        found = client._client.post("/artifacts/latest/filter", json={}).json()
    (bar,) = [one for one in found if one["type"] == "progress"]
    assert (bar["key"], bar["data"]) == ("progress-count", 100)  # one bar a task
    assert bar["description"] == "Long rows: 3 of 3"
    assert bar["task_run_id"] is not None
