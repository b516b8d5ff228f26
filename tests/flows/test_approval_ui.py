"""`release.approval: ui`, on a real server with a worker: suspended, answered, released or removed.

Releases of kilobytes stand in for trained ones; the flow around them is the root flow's own.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from real_server import asked, ended, prefect, started, state_of, told, until
from release.kilobytes import PARTS, release_folder

pytestmark = pytest.mark.server

CASES = ("yes", "no", "files", "branch", "late")
EVALUATION = (
    "- strict 0.98, at least 0.9\n\n| metric | before | after |\n|---|---|---|\n| kl | | 1 |"
)
SOON = 20 / 86400  # days


class Asking:
    """One repository of the test, its folder, and the runs that ask about it."""

    def __init__(self, server: dict[str, str], case: str, folder: Path) -> None:
        self.server, self.name, self.folder = server, f"pairpress/asked-{case}", folder
        self.folder.with_suffix(".inputs").write_text("digest of the inputs")
        self.run = self.start(SOON if case == "late" else None)

    def start(self, days: float | None = None) -> str:
        release = {"repository": self.name, "private": False, "approval": "ui"}
        return started(
            self.server,
            "approve-kilobytes/test",
            folder=str(self.folder),
            evaluation=EVALUATION,
            release=release | ({} if days is None else {"approval_days": days}),
        )

    def resume(self, **answer: Any) -> None:
        reply = asked(self.server, f"flow_runs/{self.run}/resume", run_input=answer)
        assert reply["status"] == "ACCEPT", reply

    def end(self) -> tuple[str, str]:
        state = ended(self.server, self.run)["state"]
        return state["type"], state["message"]

    @property
    def record(self) -> dict:
        folder = Path(self.server["PAIRPRESS_HOME"]) / "runs" / self.run
        return json.loads((folder / "approval.json").read_text())

    def refs(self) -> dict[str, tuple[set[str], set[str]]]:
        """Branches and tags by part."""
        from tasks.core.publish import repositories
        from tasks.core.trees import refs_of

        found = {one.part: refs_of(one) for one in repositories(self.name)}
        return {part: (set(one.branches), set(one.tags)) for part, one in found.items()}


def paused(server: dict[str, str], run: str) -> None:
    """A state that does not pass by itself is waited for, one after the other: it costs a worker
    less than many processes that start at once."""
    until(lambda: state_of(server, run) in ("PAUSED", "FAILED"), 300, every=1)


def everywhere(branches: set[str], tags: set[str]) -> dict[str, tuple[set[str], set[str]]]:
    return dict.fromkeys(PARTS, (branches, tags))


def test_a_release_waits_for_a_persons_answer(server, worker, tmp_path):
    prefect(
        server,
        *("deploy", "tests/flows/approve_kilobytes.py:approve_kilobytes"),
        *("--name", "test", "--pool", "local-process"),
    )
    cases = {}
    for case in CASES:
        cases[case] = Asking(server, case, release_folder(tmp_path, case))
        paused(server, cases[case].run)
    waiting = [one for case, one in cases.items() if case != "late"]

    for one in waiting:
        assert one.refs() == everywhere({"main", "release/v1"}, set())
        assert one.record["verdict"] == "waiting"
    yes = cases["yes"]
    details = told(server, f"flow_runs/{yes.run}")["state"]["state_details"]
    left = datetime.fromisoformat(details["pause_timeout"]) - datetime.now(UTC)
    assert timedelta(days=6.9) < left < timedelta(days=7)
    form = {
        name: httpx.get(f"{server['PREFECT_API_URL']}/flow_runs/{yes.run}/input/{key}").json()
        for name, key in details["run_input_keyset"].items()
        if name != "response"
    }
    assert form["schema"]["properties"]["approve"]["default"] is False
    for shown in ("v1 of pairpress/asked-yes", "asked-yes-pairs/tree/", EVALUATION):
        assert shown in form["description"]

    second = ended(server, yes.start())  # somebody else's run, meanwhile
    assert second["state_type"] == "FAILED" and "awaits an answer" in second["state"]["message"]

    yes.resume(approve=True, note="Ann: the answers read well")
    cases["no"].resume()  # nothing said is no
    (cases["files"].folder / "model" / "config.json").write_text('{"model_type": "llama"}')
    cases["files"].resume(approve=True)
    _commit_by_hand(cases["branch"].name)
    cases["branch"].resume(approve=True)

    assert yes.end()[0] == "COMPLETED", yes.end()
    assert yes.refs() == everywhere({"main"}, {"v1"})
    assert _titles(yes.name) == ["Release v1: model", "initial commit"]
    assert yes.record["verdict"] == "approved" and yes.record["note"].startswith("Ann: the")
    answered = datetime.fromisoformat(yes.record["answered"])
    assert datetime.now(UTC) - answered < timedelta(hours=1)

    expected = {
        "no": ("refused", "was not approved"),
        "files": ("changed", "is not what was asked about", "its files are others"),
        "branch": ("changed", "is not what was asked about", "staged is now dataset"),
    }
    for case, (verdict, *words) in expected.items():
        state, message = cases[case].end()
        assert state == "FAILED" and all(word in message for word in words), (case, message)
        assert cases[case].refs() == everywhere({"main"}, set()), case
        assert cases[case].record["verdict"] == verdict
        logs = asked(server, "logs/filter", logs={"flow_run_id": {"any_": [cases[case].run]}})
        assert not any("Traceback" in log["message"] for log in logs), case

    # heard at the top: nothing before the question is done anew
    again = stages(cases["no"])
    assert again[-1] == "earlier-questions" and again.count("question") == 1, again

    no = cases["no"]  # a retried run is not asked twice
    prefect(server, "flow-run", "retry", no.run)
    until(lambda: state_of(server, no.run) != "FAILED", 60)
    assert "final for this run" in no.end()[1] and no.refs() == everywhere({"main"}, set())

    late = cases["late"]  # its branches stay: nothing of ours runs when its time is up
    assert "never resumed" in late.end()[1]
    assert late.refs() == everywhere({"main", "release/v1"}, set())
    earlier, staged = late.record, late.run
    late.folder = release_folder(tmp_path, "anew")
    late.folder.with_suffix(".inputs").write_text("other inputs")
    late.run = late.start()
    paused(server, late.run)
    assert late.record["placed"] != earlier["placed"] and late.record["verdict"] == "waiting"
    late.resume(approve=True)
    assert late.end()[0] == "COMPLETED" and late.refs() == everywhere({"main"}, {"v1"})
    late.run = staged
    assert late.record["verdict"] == "lapsed"


def stages(case: Asking) -> list[str]:
    """What its logs tell of its stages, in their order."""
    logs = asked(case.server, "logs/filter", logs={"flow_run_id": {"any_": [case.run]}})
    lines = sorted((one["timestamp"], one["message"]) for one in logs)
    found = (re.match(r"stage=(\S+)", line) for _, line in lines)
    return [one[1] for one in found if one]


def _commit_by_hand(name: str) -> None:
    from huggingface_hub import CommitOperationAdd, HfApi

    HfApi().create_commit(
        name,
        [CommitOperationAdd("config.json", b'{"model_type": "mistral"}')],
        commit_message="by hand",
        revision="release/v1",
    )


def _titles(name: str) -> list[str]:
    from huggingface_hub import HfApi

    return [one.title for one in HfApi().list_repo_commits(name)]
