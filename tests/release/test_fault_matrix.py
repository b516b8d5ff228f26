"""Every fault at every publishing step, on kilobyte releases: docs/faults.md says what happens.

The clock of our own waits runs a thousand times faster; everything else is as in a real run.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ground import ROOT
from huggingface_hub import close_session
from kilobytes import (
    PARTS,
    Switch,
    next_folder,
    publish,
    release_folder,
    require_complete,
    standing,
)

from localhub.client_env import Server
from tasks.core import hub as our_hub
from tasks.core import trees
from tasks.core.errors import InputError, Refused
from tasks.core.hub import HubUnavailable
from tasks.core.publish import repositories

SILENCE_S, LATE_S = 0.6, 0.9  # seconds until we give up, and until a late server acts
ALWAYS = 1000

STEPS = {
    "who are you": ("GET", "/api/whoami-v2"),
    "look at the repository": ("GET", r"/api/\w+/pairpress/[^/]+$"),
    "create the repository": ("POST", "/api/repos/create"),
    "branches and tags": ("GET", "/refs"),
    "make the branch": ("POST", "/branch/"),
    "check the card": ("POST", "/api/validate-yaml"),
    "which files are large": ("POST", "/preupload/"),
    "which large files are missing": ("POST", "/info/lfs/objects/batch"),
    "send a large file": ("PUT", "/lfs/"),
    "is the large file there": ("POST", "/info/lfs/verify"),
    "commit on the branch": ("POST", "/commit/release%2Fv1"),
    "list the files": ("GET", "/tree/"),
    "copy: what is stored": ("POST", "/paths-info/"),
    "copy: a small file": ("GET", "/resolve/"),
    "commit on main": ("POST", "/commit/main"),
    "write the tag": ("POST", "/tag/"),
    "remove the branch": ("DELETE", "/branch/"),
}
PASSING = {
    "drop": {"kind": "drop", "after": 1000, "times": 2},
    "cut": {"kind": "drop-reply", "after": 1, "times": 2},
    "503": {"kind": "status", "status": 503, "times": 2},
    "429": {"kind": "status", "status": 429, "retry_after": 1, "times": 2},
    "lost": {"kind": "lose-answer"},
    "late": {"kind": "late", "seconds": LATE_S},
}
LASTING = {
    "reset": {"kind": "drop", "times": ALWAYS},
    "503": {"kind": "status", "status": 503, "times": ALWAYS},
    "403": {"kind": "status", "status": 403, "times": ALWAYS},
    "full disk": {"kind": "full-disk", "times": ALWAYS},
    "mute": {"kind": "lose-answer", "times": ALWAYS},
}
Standing = dict[str, tuple[dict[str, str], dict[str, str], dict[str, str]]]
NOTHING: Standing = {part: ({}, {}, {}) for part in PARTS}
NEXT = ("commit on main", "write the tag")  # rows that are run on v1 -> v2, too
QUICK = "commit on main"  # the row that is run with the quick tests


def documented(heading: str) -> list[tuple[str, str, str]]:
    """(step, fault, outcome) of every cell of a table in the page that is not empty."""
    page = (ROOT / "docs" / "faults.md").read_text()
    section = page.partition(f"## {heading}")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|") and not line.startswith("|--")
    ]
    header, *body = rows
    return [
        (row[0], fault, outcome)
        for row in body
        for fault, outcome in zip(header[1:], row[1:], strict=True)
        if outcome
    ]


def cells(heading: str) -> list[object]:
    return [
        pytest.param(
            *cell, id=f"{cell[0]}-{cell[1]}", marks=() if cell[0] == QUICK else pytest.mark.slow
        )
        for cell in documented(heading)
    ]


@pytest.fixture(scope="module", autouse=True)
def impatient() -> Iterator[None]:
    really = time.sleep
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "sleep", lambda seconds: really(seconds / 1000))
        patched.setattr(our_hub, "SILENCE_S", SILENCE_S)
        close_session()  # the next client is made with this patience
        yield
    close_session()


def release_of(root: Path, step: str, fault: str, which: str) -> tuple[str, str, Path]:
    """(name, content, folder) of a release that no other test publishes."""
    content = re.sub(r"\W+", "-", f"{which}-{step}-{fault}")
    return f"pairpress/{content}", content, release_folder(root, content)


def said_by(name: str, content: str, folder: Path, version: str = "v1") -> str:
    """What the command says when it stops; nothing if it comes through."""
    try:
        publish(name, folder, content, version)
    except (HubUnavailable, InputError, Refused) as error:
        return str(error)
    return ""


def less(contents: dict[str, str]) -> dict[str, str]:
    """Without the Hub's own file."""
    return {path: content for path, content in contents.items() if path != ".gitattributes"}


def left_by(name: str, folder: Path, before: Standing, version: str = "v1") -> str:
    """What a command that stopped left behind; whatever is on main or tagged must be right."""
    now = standing(name)
    tagged = {part: tags[version] for part, (_, tags, _) in now.items() if version in tags}
    begun = [part for part, (contents, _, _) in now.items() if less(contents) != before[part][0]]
    for part, (_, tags, _) in now.items():
        assert {name: at for name, at in tags.items() if name != version} == before[part][1]
    for target in repositories(name):
        files = trees.files_below(folder / target.part)
        commits = [tagged[target.part]] if target.part in tagged else []
        commits += ["main"] if target.part in begun else []
        assert all(trees.holds(target, commit, files) for commit in commits)
    if not begun:
        return "as before"
    return "tagged" if set(tagged) == set(PARTS) else "begun"


def fault_at(step: str, fault: dict[str, object]) -> dict[str, object]:
    method, path = STEPS[step]
    return {"method": method, "path": path, **fault}


def require_large_files_sent_once(switch: Switch) -> None:
    kept = [one["path"] for one in switch.log() if one["method"] == "PUT" and one["status"] == 200]
    assert len(kept) == len({str(path).partition("?")[0] for path in kept})


def test_the_tables_name_every_step_and_every_fault() -> None:
    passing, lasting = documented("Faults that pass"), documented("Faults that last")
    assert {(step, fault) for step, fault, _ in passing} == {(s, f) for s in STEPS for f in PASSING}
    keeping = [step for step, (method, path) in STEPS.items() if is_kept(method, path)]
    expected = {(step, fault) for step in STEPS for fault in ("reset", "503", "403")}
    expected |= {(step, fault) for step in keeping for fault in ("full disk", "mute")}
    assert {(step, fault) for step, fault, _ in lasting} == expected
    assert {fault for _, fault in expected} == set(LASTING)


def is_kept(method: str, path: str) -> bool:
    """Whether the step leaves something on the server's disk."""
    asking = ("validate-yaml", "preupload", "info/lfs", "paths-info")
    return method != "GET" and not any(part in path for part in asking)


@pytest.mark.parametrize(("step", "fault", "outcome"), cells("Faults that pass"))
def test_a_fault_that_passes(
    hub: Server, tmp_path: Path, switch: Switch, step: str, fault: str, outcome: str
) -> None:
    name, content, folder = release_of(tmp_path, step, fault, "passing")
    switch.set(fault_at(step, PASSING[fault]))
    said = said_by(name, content, folder)
    assert (said, outcome) == ("", "complete")
    assert any(one["fault"] for one in switch.log())
    require_complete(name, folder, "v1")
    if fault in ("drop", "503", "429"):  # with the others the server has it, and nobody knows
        require_large_files_sent_once(switch)


@pytest.mark.parametrize(("step", "fault", "outcome"), cells("Faults that last"))
def test_a_fault_that_lasts(
    hub: Server, tmp_path: Path, switch: Switch, step: str, fault: str, outcome: str
) -> None:
    name, content, folder = release_of(tmp_path, step, fault, "lasting")
    switch.set(fault_at(step, LASTING[fault]))
    said = said_by(name, content, folder)
    met = sum(one["fault"] is not None for one in switch.log())
    switch.clear()
    assert (left_by(name, folder, NOTHING) if said else "complete") == outcome
    assert "\n" not in said and (not said or "pairpress/" in said or "token" in said)
    assert met == 1 or fault != "403", "a refusal was tried again"
    assert "is full (507)" in said or fault != "full disk"
    assert said_by(name, content, folder) == ""
    require_complete(name, folder, "v1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "fault", "outcome"),
    [cell for cell in documented("Faults that last") if cell[0] in NEXT]
    + [cell for cell in documented("Faults that pass") if cell[0] in NEXT],
)
def test_a_fault_in_the_next_release_leaves_the_last_one_as_it_was(
    hub: Server, tmp_path: Path, switch: Switch, step: str, fault: str, outcome: str
) -> None:
    """v2 changes files, adds one and deletes one."""
    lasts = (step, fault, outcome) in documented("Faults that last")
    content = re.sub(r"\W+", "-", f"next-{'lasting' if lasts else 'passing'}-{step}-{fault}")
    name, first = f"pairpress/{content}", release_folder(tmp_path, f"{content}-first")
    publish(name, first, f"{content}-first")
    before = {part: (less(at), tags, heads) for part, (at, tags, heads) in standing(name).items()}
    folder = next_folder(tmp_path, content)
    switch.set(fault_at(step, (LASTING if lasts else PASSING)[fault]))
    said = said_by(name, content, folder, "v2")
    switch.clear()
    assert (left_by(name, folder, before, "v2") if said else "complete") == outcome
    assert said_by(name, content, folder, "v2") == ""
    require_complete(name, folder, "v2")
    for target in repositories(name):
        assert trees.holds(target, "v1", trees.files_below(first / target.part))
