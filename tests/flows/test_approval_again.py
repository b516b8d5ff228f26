"""After an answer a run may fail, be killed or be cancelled, and be retried: it is asked once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.flow_engine import run_flow_sync
from prefect.states import Cancelled, Scheduled
from prefect.testing.utilities import prefect_test_harness

from tasks import approve
from tasks.core import approval, staging
from tasks.core.errors import Refused
from tasks.core.refs import News, Staged, Written
from tasks.core.settings import Release
from tasks.core.stage import Folder

pytestmark = pytest.mark.server
ASKED = "pairpress/asked-again"
promoting = {"fails": False}


def staged() -> Staged:
    placed = [
        staging.Placed(part=part, repo=ASKED, repo_type="model", head="a" * 40, commit="b" * 40)
        for part in ("dataset", "adapter", "model")
    ]
    folder = Folder(stage="release", path=Path(), digest="d")
    written = Written(
        folder=folder,
        targets=[],
        version="v1",
        content="c",
        finished=False,
        private=False,
        changed="",
    )
    return Staged(written=written, placed=placed)


@flow(name="asks")
def asks() -> str:
    release, news = Release(repository=ASKED, approval="ui"), News(digest="n", standing=None)
    approve.settle_questions(ASKED, news)
    approve.await_approval(ASKED, news, staged(), "evaluation", release)
    if promoting["fails"]:
        raise RuntimeError("the Hub went away")
    return "promoted"


@pytest.fixture(scope="module")
def client(hub):
    with (
        prefect_test_harness(server_startup_timeout=120),
        get_client(sync_client=True) as client,
    ):
        yield client


@pytest.fixture
def run(client: SyncPrefectClient, tmp_path, monkeypatch):
    """A run of a deployment that was suspended for its question."""
    monkeypatch.setenv("PAIRPRESS_HOME", str(tmp_path))
    promoting["fails"] = False
    deployment = client.create_deployment(client.create_flow(asks), name="by-hand")
    made = client.create_flow_run_from_deployment(deployment)
    assert goes(client, made.id) == "Suspended"
    return made.id


def goes(client: SyncPrefectClient, run) -> str:
    """As a worker begins it, from its top; the name of the state in which it stops."""
    try:
        run_flow_sync(asks, flow_run=client.read_flow_run(run), return_type="state")
    except BaseException as error:  # noqa: BLE001 - a suspended run leaves by an exception
        assert type(error).__name__ in ("Pause", "Abort"), error
    state = client.read_flow_run(run).state
    assert state is not None
    return state.name


def retried(client: SyncPrefectClient, run) -> str:
    client.set_flow_run_state(run, Scheduled(name="AwaitingRetry"))
    return goes(client, run)


def verdict(run) -> str:
    asked = approval.read(approve.work_folder() / "runs" / str(run))
    assert asked is not None
    return asked.verdict


def test_a_yes_holds_when_promoting_fails_and_the_run_is_retried(client, run):
    promoting["fails"] = True
    client.resume_flow_run(run, run_input={"approve": True, "note": "Ann"})
    assert goes(client, run) == "Failed"
    assert verdict(run) == "approved"
    promoting["fails"] = False
    assert retried(client, run) == "Completed"


def test_an_answer_that_a_killed_run_did_not_hear_is_heard_by_its_retry(client, run, monkeypatch):
    client.resume_flow_run(run, run_input={"approve": False, "note": "Bob"})
    with monkeypatch.context() as killed:
        killed.setattr(approve, "settle_questions", lambda *_: 1 / 0)
        assert goes(client, run) == "Failed"
    assert verdict(run) == "waiting"
    assert retried(client, run) == "Failed"
    assert verdict(run) == "refused"


def test_a_question_that_was_cancelled_is_asked_again_by_a_retry(client, run):
    client.set_flow_run_state(run, Cancelled(), force=True)
    assert retried(client, run) == "Suspended"
    client.resume_flow_run(run, run_input={"approve": True, "note": ""})
    assert goes(client, run) == "Completed"


def test_a_question_whose_time_is_up_is_not_answered_by_a_retry(client, run):
    folder = approve.work_folder() / "runs" / str(run)
    asked = approval.read(folder)
    assert asked is not None
    late = asked.model_copy(update={"until": datetime.now(UTC) - timedelta(seconds=1)})
    approval.write(folder, late)
    client.set_flow_run_state(run, Cancelled(), force=True)
    assert retried(client, run) == "Failed"
    assert verdict(run) == "lapsed"


def test_what_another_run_would_stage_while_a_person_is_asked_is_refused(client, run):
    """Also where the question was opened after that run had begun."""

    @flow(name="stages-later")
    def stages_later() -> None:
        approve.require_none_asked(ASKED)

    @flow(name="promotes-later")
    def promotes_later() -> str:
        news, asks_nobody = News(digest="n", standing=None), Release(repository=ASKED)
        approve.await_approval(ASKED, news, staged(), "evaluation", asks_nobody)
        return "promoted"

    for later in (stages_later, promotes_later):
        with pytest.raises(Refused, match="Answer there, or cancel that run"):
            later()
    client.resume_flow_run(run, run_input={"approve": True, "note": ""})
    assert goes(client, run) == "Completed"
    stages_later()
    assert promotes_later() == "promoted"


def test_a_run_that_has_asked_goes_on_with_its_answer_whoever_asks_beside_it(client, run):
    folder = approve.work_folder() / "runs" / str(run)
    asked = approval.read(folder)
    assert asked is not None
    other = folder.with_name("of-another-run")
    other.mkdir()
    approval.write(other, asked.model_copy(update={"run": str(uuid4())}))
    client.resume_flow_run(run, run_input={"approve": True, "note": ""})
    assert goes(client, run) == "Completed"


def test_branches_that_a_question_waits_on_are_not_cleaned_away(run, tmp_path):
    with pytest.raises(Refused, match=r"awaits an answer .* answer it"):
        approval.require_none_waiting(tmp_path / "runs", ASKED)
