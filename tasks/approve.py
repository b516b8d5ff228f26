"""Between staging and promoting: the run is suspended until a person says yes, or no.

in   Staged; what a person is shown of the evaluation
out  nothing; Refused unless the answer is yes, and is about what is staged now

Prefect ends the process and begins the flow again from its top when somebody presses Resume, so
all of this is met twice. `suspend` stands in the flow: a task cannot suspend its run.
https://docs.prefect.io/v3/advanced/interactive
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.input.actions import delete_flow_run_input, read_flow_run_input
from prefect.input.run_input import keyset_from_base_key
from prefect.runtime import deployment, flow_run
from pydantic import Field

from tasks.alerts import tell_waiting
from tasks.core import approval
from tasks.core.approval import Asked
from tasks.core.errors import Refused
from tasks.core.refs import Aligned, News, Staged, Written
from tasks.core.settings import Release
from tasks.core.stage import work_folder
from tasks.gate import shown_answers
from tasks.staged import log, run_folder, stage_task
from tasks.story import markdown


class Approval(RunInput):
    """The Resume form shows titles alone, no descriptions."""

    approve: bool = Field(False, title="Release it (off means no)")
    note: str = Field("", title="Who answers, and why; kept in the record", max_length=500)


def require_answerable(release: Release) -> None:
    """Before anything costs: a run without a deployment, or inside another, cannot be suspended."""
    if deployment.id is None or flow_run.parent_flow_run_id is not None:
        approval.require_deployment(release, f"{flow_run.flow_name}/NAME", {})


@stage_task("earlier questions")
def settle_questions(repository: str, news: News) -> None:
    """Branches of questions that nobody answered in time go. Raises Refused where one still waits,
    and where this run's own was answered with no, or is about something else by now: here, before
    the flow replays all that stands before its question."""
    ours = run_folder()
    mine = approval.read(ours)
    for folder, asked in _others(repository):
        if not _awaits(asked):
            _close(folder, asked.model_copy(update={"verdict": "lapsed"}))
        elif news.standing is None and mine is None:
            raise _open(folder, asked)
    if news.standing is None and mine is not None:
        approval.require_open(mine)
        answer = _answer_to(mine)
        if answer is not None and not answer.approve:
            _refuse(mine, answer)
        if answer is None and mine.verdict == "waiting" and datetime.now(UTC) >= mine.until:
            _close(ours, lapsed := mine.model_copy(update={"verdict": "lapsed"}))
            raise Refused(f"{approval.told(lapsed)} Start another run: it asks again.")
        with _closing(mine):
            approval.require_same_inputs(mine, news)


def _others(repository: str) -> Iterator[tuple[Path, Asked]]:
    """Questions of other runs in this work folder that have no answer."""
    for folder, asked in approval.waiting(work_folder() / "runs", repository):
        if folder != run_folder():
            yield folder, asked


def _open(folder: Path, asked: Asked) -> Refused:
    return Refused(
        f"{approval.told(asked)} Answer there, or cancel that run; then run again. "
        f"If it is gone from the server, delete {folder / approval.NAME}."
    )


def require_none_asked(repository: str) -> None:
    """Before anything is staged, asked or promoted, hours after the start: another run may have
    opened a question. A run that has asked goes on with its answer. Raises Refused."""
    if approval.read(run_folder()) is not None:
        return
    for folder, asked in _others(repository):
        if _awaits(asked):
            raise _open(folder, asked)


def _answer_to(asked: Asked) -> Approval | None:
    """What the question is going to return; nothing where it has not suspended this run yet.

    A run that failed, or was killed, after its answer forgets on a retry that it was suspended, and
    keeps the answer; a Resume without any input is remembered by the suspension alone.
    """
    run, keys = UUID(asked.run), keyset_from_base_key(f"suspended-{asked.digest}")
    with get_client(sync_client=True) as client:
        suspended = client.read_flow_run(run).empirical_policy.pause_keys or ()
    if asked.digest in suspended:
        return Approval.load(keys, run)
    given = read_flow_run_input(keys["response"], run)
    return None if given is None else Approval(**given)


def _awaits(asked: Asked) -> bool:
    """By its run's state; a run that this server does not know is believed until its time is up."""
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(asked.run).state
        except ObjectNotFound:
            return datetime.now(UTC) < asked.until
    if state is None or state.is_final():
        return False
    return not state.is_paused() or datetime.now(UTC) < asked.until


def require_same_files(written: Written) -> None:
    """After a restart, and before anything is staged anew in the place of what was asked about."""
    asked = approval.read(run_folder())
    if asked is not None:
        with _closing(asked):
            approval.require_same_files(asked, written)


@contextmanager
def _closing(asked: Asked) -> Iterator[None]:
    """What is refused as another release than the one asked about leaves nothing on the Hub."""
    try:
        yield
    except Refused:
        _close(run_folder(), asked.model_copy(update={"verdict": "changed"}))
        raise


def _close(folder: Path, asked: Asked) -> None:
    for line in approval.withdraw(asked):
        log(f"approval: removed {line}")
    approval.write(folder, asked)
    log(f"approval: {approval.told(asked)}")


def evaluation_of(aligned: Aligned) -> str:
    """What a person is shown before the answer; the run's artifacts show all of it."""
    answers = shown_answers(aligned.before, aligned.after)
    return approval.evaluation(aligned.gate, answers, aligned.before.facts, aligned.after.facts)


def await_approval(
    repository: str, news: News, staged: Staged, evaluation: str, release: Release
) -> None:
    """approval: ui suspends the run here; whatever else it is, or a release that stands, passes,
    unless another run's question about these repositories is open."""
    if staged.placed:
        require_none_asked(repository)
    if release.approval != "ui" or not staged.placed:
        return
    asked = ask_once(repository, news, staged, evaluation, release)
    if asked.verdict == "approved":
        return
    answer = _answer_to(asked)
    if answer is None:
        _forget_form(asked)
        shown = approval.question(asked, evaluation)
        answer = suspend_flow_run(
            wait_for_input=Approval.with_initial_data(description=shown),
            timeout=round((asked.until - datetime.now(UTC)).total_seconds()),
            key=asked.digest,
        )
    hear_answer(asked, answer)


def _forget_form(asked: Asked) -> None:
    """Of a run that was cancelled while it waited: Prefect stores each form once, and for good."""
    keys = keyset_from_base_key(f"suspended-{asked.digest}")
    for name in ("schema", "description"):
        if read_flow_run_input(keys[name], UUID(asked.run)) is not None:
            delete_flow_run_input(keys[name], UUID(asked.run))


@stage_task("question")
def ask_once(
    repository: str, news: News, staged: Staged, evaluation: str, release: Release
) -> Asked:
    """The question of this run, the same one after a restart: what is staged must be the same."""
    run = run_folder()
    asked = approval.read(run)
    if asked is None:
        asked = approval.ask(repository, news, staged, release, str(flow_run.id), flow_run.ui_url)
        approval.write(run, asked)
        log(f"approval: {approval.told(asked)}")
        page = approval.question(asked, evaluation)
        markdown("approval", "Approval", page, approval.told(asked))
        tell_waiting(f"release {asked.what}?")
        return asked
    with _closing(asked.model_copy(update={"placed": staged.placed})):
        approval.require_same(asked, staged)
    return asked


@stage_task("answer")
def hear_answer(asked: Asked, answer: Approval) -> None:
    """Kept in the run's folder. Raises Refused for a no, and then nothing stays on the Hub."""
    if not answer.approve:
        _refuse(asked, answer)
    asked = _answered(asked, "approved", answer)
    approval.write(run_folder(), asked)
    log(f"approval: {approval.told(asked)}")
    _show(asked)


def _refuse(asked: Asked, answer: Approval) -> NoReturn:
    asked = _answered(asked, "refused", answer)
    _close(run_folder(), asked)
    _show(asked)
    raise Refused(f"{approval.told(asked)} Its release branches are removed.")


def _answered(asked: Asked, verdict: str, answer: Approval) -> Asked:
    known = {"verdict": verdict, "answered": datetime.now(UTC), "note": answer.note.strip()}
    return asked.model_copy(update=known)


def _show(asked: Asked) -> None:
    markdown("approval", "Approval", approval.told(asked), asked.verdict)
