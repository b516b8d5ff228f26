"""A person's answer to one staged release, and to no other.

in   what is staged, what its evaluation says, until when an answer is taken
out  the question in Markdown; runs/RUN/approval.json: what was asked, and what became of it

Days may pass before the answer, and the flow then begins again from its top: whatever differs by
then from what was asked about is refused. A question that nobody answers leaves its branches
behind, for nothing of ours runs any more: the next run finds it here and removes them.
"""

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tasks.core import staging, trees
from tasks.core.errors import InputError, Refused
from tasks.core.hub import endpoint
from tasks.core.publish import exists, repositories
from tasks.core.refs import News, Staged, Written
from tasks.core.settings import Release
from tasks.core.staging import Placed

NAME = "approval.json"
OPEN = ("waiting", "approved")  # where the run may still come to its release


class Asked(BaseModel):
    """One question: about these files, on these commits."""

    model_config = ConfigDict(frozen=True)

    version: str
    repository: str
    hub: str
    digest: str  # staged_digest
    files: str  # digest of the folder from which they were staged
    inputs: str  # News.digest: whether what is made now can be the same at all
    placed: list[Placed]
    run: str
    page: str  # where it can be answered
    asked: datetime
    until: datetime
    verdict: Literal["waiting", "approved", "refused", "lapsed", "changed"] = "waiting"
    answered: datetime | None = None
    note: str = ""  # of who answered

    @property
    def what(self) -> str:
        return f"{self.version} of {self.repository}"


def staged_digest(staged: Staged) -> str:
    """Over every file of the release, its version, and the commits on which it waits."""
    written = staged.written
    parts = {
        "version": written.version,
        "content": written.content,
        "files": written.folder.digest,
        "commits": [[one.repo, one.commit] for one in staged.placed],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def ask(
    repository: str, news: News, staged: Staged, release: Release, run: str, page: str
) -> Asked:
    now = datetime.now(UTC)
    return Asked(
        version=staged.written.version,
        repository=repository,
        hub=endpoint(),
        digest=staged_digest(staged),
        files=staged.written.folder.digest,
        inputs=news.digest,
        placed=staged.placed,
        run=run,
        page=page,
        asked=now,
        until=now + timedelta(days=release.approval_days),
    )


def evaluation(
    gate: Sequence[str],
    answers: Sequence[tuple[str, str, str]],
    before: Mapping[str, float],
    after: Mapping[str, float],
) -> str:
    """Gate, answers, metrics. Prefect's form is narrow and cuts a wide table off: the answers stand
    below each other."""
    parts = ["\n".join(f"- {sentence}" for sentence in gate)]
    for asked, was, now in answers:
        lines = (f"**{_line(asked)}**", f"- before: {_line(was)}", f"- after: {_line(now)}")
        parts.append("\n".join([lines[0], "", *lines[1:]]))
    table = ["| metric | before | after |", "|---|---|---|"]
    for name, value in after.items():
        known = f"{before[name]:.4g}" if name in before else ""
        table.append(f"| {name} | {known} | {value:.4g} |")
    return "\n\n".join(part for part in [*parts, "\n".join(table)] if part)


def _line(text: str) -> str:
    return " ".join(text.split())


def question(asked: Asked, shown: str) -> str:
    """What stands above the answer in the Resume form."""
    parts = {"dataset": "data set", "adapter": "adapter", "model": "merged model"}
    lines = ["| part | staged, to look at | commit |", "|---|---|---|"]
    for one in asked.placed:
        lines.append(f"| {parts[one.part]} | [{one.repo}]({_tree(one)}) | `{one.commit[:8]}` |")
    return "\n\n".join(
        [
            f"**Release {asked.what}?** It is staged and verified, and nobody who reads main or a "
            "tag sees it yet. Yes puts exactly this on main and tags it. No removes it. Without "
            f"an answer by {_time(asked.until)} nothing is released.",
            "\n".join(lines),
            shown,
            f"The answer holds for these files on these commits, digest `{asked.digest[:16]}`.",
        ]
    )


def _tree(one: Placed) -> str:
    """The staged commit's page on the Hub, which stays when its branch moves."""
    prefix = "datasets/" if one.repo_type == "dataset" else ""
    return f"{endpoint()}/{prefix}{one.repo}/tree/{one.commit}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def asks(release: Release) -> str:
    """What a plan says of the approval; empty where nobody is asked."""
    match release.approval:
        case "ui":
            days = f"{release.approval_days:g} days"
            return (
                f"after a yes in Prefect's UI: the run is suspended up to {days} with the "
                "evaluation; a no, or no answer, releases nothing"
            )
        case "pull-request":
            return "after its pull requests are merged, one in each repository, and the same run"
        case _:
            return ""


def require_deployment(release: Release, deployment: str, changed: Mapping[str, Any]) -> None:
    """For a run that cannot be suspended. Raises InputError where it would have to be.

    `changed`: sections that differ from the deployment's; one that is given replaces it whole.
    """
    if release.approval == "ui":
        given = [shlex.quote(f"{key}={json.dumps(value)}") for key, value in changed.items()]
        command = " ".join(["prefect deployment run", deployment, *(f"--param {p}" for p in given)])
        raise InputError(
            "release.approval ui: a person answers in Prefect's UI, and only a run of a deployment "
            "can wait for that. `pairpress up` starts server and worker; then "
            f"`{command}`, or its form under Run > Custom run. Without approval: "
            "release.approval=none."
        )


def require_open(asked: Asked) -> None:
    """For a run that begins again from its top. Raises Refused where it had its answer."""
    if asked.verdict not in OPEN:
        raise Refused(f"{told(asked)} That answer is final for this run; start another one.")


def require_same_inputs(asked: Asked, news: News) -> None:
    """Before anything is made anew from others. Raises Refused."""
    if asked.inputs != news.digest:
        raise Refused(changed(asked, "inputs, settings or sources are others now"))


def require_same_files(asked: Asked, written: Written) -> None:
    """Before they are staged, which would replace what was asked about. Raises Refused."""
    if asked.files != written.folder.digest:
        raise Refused(changed(asked, "its files are others now"))


def require_same(asked: Asked, staged: Staged) -> None:
    """Raises Refused where something else is staged than was asked about.

    Its files were compared before. Once approved it goes forward: a part that is on main already
    has another commit there.
    """
    if asked.verdict == "waiting" and staged_digest(staged) != asked.digest:
        now, then = (
            ", ".join(f"{one.part} {one.commit[:8]}" for one in placed)
            for placed in (staged.placed, asked.placed)
        )
        raise Refused(changed(asked, f"staged is now {now}, and it was {then}"))


def changed(asked: Asked, why: str) -> str:
    return (
        f"{asked.what} is not what was asked about at {_time(asked.asked)}: {why}. Nothing was "
        "released, whatever the answer was. Start another run: it asks about what there is now."
    )


def told(asked: Asked) -> str:
    """What became of the question, in a sentence."""
    note = f" ({asked.note})" if asked.note else ""
    match asked.verdict:
        case "waiting":
            return f"{asked.what} awaits an answer until {_time(asked.until)}: {asked.page}"
        case "approved":
            return f"{asked.what} was approved at {_time(asked.answered or asked.until)}{note}."
        case "refused":
            return f"{asked.what} was not approved at {_time(asked.answered or asked.until)}{note}."
        case "lapsed":
            return f"{asked.what} was asked about, and not answered by {_time(asked.until)}."
        case "changed":
            return f"{asked.what} was asked about, and changed before the answer."


def read(run: Path) -> Asked | None:
    path = run / NAME
    return Asked.model_validate_json(path.read_text()) if path.exists() else None


def write(run: Path, asked: Asked) -> None:
    unfinished = run / f".{NAME}.unfinished"
    unfinished.write_text(asked.model_dump_json(indent=2))
    unfinished.rename(run / NAME)


def waiting(runs: Path, repository: str) -> Iterator[tuple[Path, Asked]]:
    """Questions about this repository that have no answer, with their runs' folders."""
    for path in sorted(runs.glob(f"*/{NAME}")):
        if path.parent.is_symlink():  # latest
            continue
        asked = read(path.parent)
        if asked is None or asked.verdict != "waiting":
            continue
        if (asked.hub, asked.repository) == (endpoint(), repository):
            yield path.parent, asked


def require_none_waiting(runs: Path, repository: str) -> None:
    """Before the branches of all releases go. Raises Refused where a person may still say yes."""
    for folder, asked in waiting(runs, repository):
        if datetime.now(UTC) < asked.until:
            raise Refused(
                f"{told(asked)} Its branches are needed until then: answer it. If that run was "
                f"cancelled or is gone, delete {folder / NAME} and clean again."
            )


def withdraw(asked: Asked) -> list[str]:
    """Removes its branches; one that holds something else by now is somebody else's."""
    removed, branch = [], staging.branch_of(asked.version)
    commits = {one.part: one.commit for one in asked.placed}
    for target in repositories(asked.repository):
        there = trees.refs_of(target).branches.get(branch) if exists(target) else None
        if there is not None and there == commits[target.part]:
            staging.remove_branch(target, branch)
            removed.append(f"{target.repo}: {branch}")
    return removed
