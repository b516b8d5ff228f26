"""What a person sees of long work on Prefect's run page, from a real server."""

import time
from collections.abc import Iterator

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
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


def test_a_page_that_somebody_deleted_is_made_again_and_no_secret_is_on_any(
    server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client

    from tasks.story import markdown

    monkeypatch.setenv("SOME_API_KEY", "of-a-person-0123456789")
    found: list[dict[str, str]] = []

    @flow
    def telling() -> None:
        with get_client(sync_client=True) as client:
            for gist in ("first", "then of-a-person-0123456789"):
                markdown("page", "A page", "Its text", gist)
                pages = {"artifacts": {"key": {"any_": ["page", "summary"]}}}
                found[:] = client._client.post("/artifacts/filter", json=pages).json()
                if gist == "first":
                    (first,) = [one["id"] for one in found if one["key"] == "page"]
                    client._client.delete(f"/artifacts/{first}").raise_for_status()

    telling()
    by_key = {one["key"]: one for one in found}
    assert set(by_key) == {"page", "summary"} and len(found) == 2
    assert f"/artifact/{by_key['page']['id']}" in by_key["summary"]["data"]
    assert "then " in by_key["page"]["description"]
    assert not any("of-a-person" in one["data"] + one["description"] for one in found)
