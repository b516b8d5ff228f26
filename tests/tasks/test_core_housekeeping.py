"""What `pairpress clean --older-than` takes, and what it never takes."""

import dataclasses
import fcntl
import io
import json
import os
import time
from pathlib import Path

import pytest
from ground import pairpress

from flows.clean_disk import clean_disk
from tasks.core.housekeeping import DAY, Found, lines_of, look, note_end, remove
from tasks.core.references import write_reference
from tasks.core.refs import Prepared
from tasks.core.stage import Folder

FULL = "0123456789abcdef"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    for name in ("stages", "training", "runs", "prefect/results"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def aged(path: Path, days: float) -> Path:
    for one in [*path.rglob("*"), path]:
        os.utime(one, (time.time() - days * DAY,) * 2)
    return path


def stage(work: Path, name: str, days: float, size: int = 100) -> Path:
    folder = work / "stages" / f"{name}-{FULL}"
    folder.mkdir()
    (folder / "rows").write_bytes(b"x" * size)
    (folder / "done.json").write_text("{}")
    (work / "stages" / f".{folder.name}.lock").touch()
    return aged(folder, days)


def run(work: Path, name: str, days: float, *stages: Path, ended: bool = True) -> Path:
    folder = work / "runs" / name
    folder.mkdir()
    line = {"stage": "any", "seconds": 1, "folders": [one.name for one in stages]}
    (folder / "stages.jsonl").write_text(json.dumps(line) + "\n")
    if ended:
        note_end(folder, "Completed")
    return aged(folder, days)


def going(work: Path, days: float = 30) -> set[str]:
    return {one.path.relative_to(work).as_posix() for one in look(work, days).goes}


def test_what_nothing_used_for_so_long_goes_and_the_rest_stays(work):
    old, new = stage(work, "load", 31), stage(work, "split", 29)
    run(work, "a", 31, old)
    assert going(work) == {f"stages/load-{FULL}", "runs/a"}
    found = look(work, 30)
    assert found.stays == {"used since": 1}
    assert {one.path.name: one.size for one in found.goes}[old.name] == 102  # rows and done.json
    freed, failed = remove(work, found)
    assert failed == [] and freed == sum(one.size for one in found.goes)
    assert not old.exists() and new.exists()
    assert going(work) == set()


def test_a_stage_that_a_run_used_again_is_as_young_as_that_use(work):
    old = stage(work, "load", 100)
    (old / "done.json").touch()
    assert going(work) == set()


def test_what_an_unfinished_run_used_stays_with_the_run(work):
    needed = stage(work, "train", 80)
    run(work, "waiting", 80, needed, ended=False)
    result = work / "prefect" / "results" / "abc"
    result.write_text("{}")
    aged(result, 79)
    earlier = work / "prefect" / "results" / "def"
    earlier.write_text("{}")
    aged(earlier, 81)
    assert going(work) == {"prefect/results/def"}
    assert look(work, 30).stays == {
        "a run that has not ended": 1,
        "a run that has not ended needs it": 2,
    }


def test_checkpoints_that_an_unfinished_run_may_go_on_from_stay(work):
    for name, days in (("before", 50), ("since", 35)):
        (work / "training" / name / "checkpoint-1").mkdir(parents=True)
        aged(work / "training" / name, days)
    run(work, "killed", 40, ended=False)
    assert going(work) == {"training/before"}


def test_a_run_that_was_killed_unseen_counts_no_longer_than_an_approval_may_take(work):
    run(work, "killed", 91, stage(work, "train", 91), ended=False)
    assert going(work) == {f"stages/train-{FULL}", "runs/killed"}


def test_what_a_proposed_release_was_made_from_stays_until_people_have_had_time_to_merge(work):
    made = stage(work, "train", 40)
    proposed = run(work, "a", 40, made)
    run(work, "b", 35)
    (work / "runs" / "latest").symlink_to("b")
    assert going(work) == {f"stages/train-{FULL}", "runs/a"}
    record = {"version": "v1", "proposals": [{"repo": "me/x", "status": "open"}]}
    (proposed / "release.json").write_text(json.dumps(record))
    aged(proposed, 40)
    assert going(work) == set()
    aged(proposed, 91)
    assert going(work) == {f"stages/train-{FULL}", "runs/a"}
    aged(proposed, 40)
    merged = {"version": "v1", "repositories": {"model": {"repo": "me/x"}}}
    (work / "runs" / "b" / "release.json").write_text(json.dumps(merged))
    aged(work / "runs" / "b", 35)
    assert going(work) == {f"stages/train-{FULL}", "runs/a"}


def test_a_run_that_was_retried_after_its_end_goes_on(work):
    retried = run(work, "retried", 50, stage(work, "train", 50))
    os.utime(retried / "stages.jsonl", (time.time() - 40 * DAY,) * 2)
    assert going(work) == set()


def test_what_the_last_release_was_made_from_stays(work):
    run(work, "last", 200, stage(work, "merge", 200))
    (work / "runs" / "latest").symlink_to("last")
    assert going(work) == set()
    assert look(work, 30).stays == {"the last release": 1, "the last release was made from it": 1}


def test_what_a_run_took_over_from_an_earlier_one_stays_with_it(work):
    """As a suspended promote-release/alone needs, and a `latest` that was made by parts."""
    prepared, aligned, other = (stage(work, one, 60) for one in ("split", "merge", "load"))
    run(work, "first", 60, prepared)
    run(work, "second", 60, aligned)
    run(work, "third", 60)
    (work / "runs" / "second" / "started-from.txt").write_text("first")
    (work / "runs" / "third" / "started-from.txt").write_text("second")
    for name in ("second", "third"):
        aged(work / "runs" / name, 60)
    (work / "runs" / "third" / "ended.json").unlink()
    assert going(work) == {f"stages/{other.name}"}
    note_end(aged(work / "runs" / "third", 60), "Completed")
    aged(work / "runs" / "third", 60)
    (work / "runs" / "latest").symlink_to("third")
    assert going(work) == {f"stages/{other.name}", "runs/first", "runs/second"}


def test_a_stage_that_only_a_reference_of_an_unfinished_run_names_stays(work):
    carried = stage(work, "merge", 60)
    run(work, "waiting", 60, ended=False)
    folder = Folder(stage="merge", path=carried, digest="0")
    base = Prepared.model_construct(raw=folder)
    write_reference(work / "runs" / "waiting", "prepared", base)
    aged(work / "runs" / "waiting", 60)
    assert going(work) == set()


def test_a_half_line_of_a_killed_run_is_passed_over(work):
    needed = stage(work, "train", 60)
    waiting = run(work, "waiting", 60, needed, ended=False)
    with (waiting / "stages.jsonl").open("a") as file:
        file.write('{"stage": "merge", "sec')
    aged(waiting, 60)
    assert going(work) == set()
    assert [one["stage"] for one in lines_of(waiting)] == ["any"]


def test_a_checkpoint_that_a_training_rotates_away_meanwhile_breaks_nothing(work, monkeypatch):
    """Everything in it is gone between the list of names and the look at them."""
    for name in ("checkpoint-1", "checkpoint-2"):
        (work / "training" / "train" / name).mkdir(parents=True)
    seen = os.walk

    def rotated(path):
        for at, folders, files in seen(path):
            yield at, [*folders, "checkpoint-0"], [*files, "trainer_state.json"]

    monkeypatch.setattr("tasks.core.housekeeping.os.walk", rotated)
    aged(work / "training" / "train", 40)
    assert going(work) == {"training/train"}


def test_a_link_to_another_disk_is_left_alone_and_what_cannot_go_is_told(work, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("disk")
    for kind in ("stages", "training"):
        (elsewhere / kind).mkdir()
        aged(elsewhere / kind, 80)
        (work / kind / "linked").symlink_to(elsewhere / kind)
        os.utime(work / kind / "linked", (0, 0), follow_symlinks=False)
    old = stage(work, "load", 40)
    found = look(work, 30)
    assert found.stays == {"a link to elsewhere": 2}
    gone = dataclasses.replace(found.goes[0], path=work / "runs" / "gone")
    freed, (told,) = remove(work, Found([gone, *found.goes], {}))
    assert freed == 102 and not old.exists() and "gone: No such file" in told


def test_what_a_run_makes_now_stays_and_a_leftover_of_a_killed_one_goes(work):
    for name in ("held", "torn"):
        (work / "stages" / f".{name}.unfinished").mkdir()
        (work / "training" / name).mkdir()
        aged(work / "stages" / f".{name}.unfinished", 40)
        aged(work / "training" / name, 40)
        (work / "stages" / f".{name}.lock").touch()
    with (work / "stages" / ".held.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert going(work) == {"stages/.torn.unfinished", "training/torn"}
    assert "stages/.held.unfinished" in going(work)


def test_what_a_run_takes_up_between_the_look_and_the_removal_stays(work):
    used, held, lost = (stage(work, name, 40) for name in ("load", "split", "train"))
    found = look(work, 30)
    (used / "done.json").touch()
    with (work / "stages" / f".{held.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove(work, found) == (102, [])
    assert used.exists() and held.exists() and not lost.exists()


@pytest.mark.parametrize(("typed", "stays"), [("n", True), ("", True), ("y", False)])
def test_a_person_at_a_terminal_is_asked_first(work, monkeypatch, capsys, typed, stays):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    old = stage(work, "load", 40)
    monkeypatch.setenv("PAIRPRESS_HOME", str(work))
    monkeypatch.setattr("sys.stdin", Terminal(f"{typed}\n"))
    clean_disk(30, agreed=False)
    assert old.exists() is stays
    assert ("Nothing was removed." in capsys.readouterr().out) is stays


def test_the_command_shows_and_removes_only_when_told(work):
    old = stage(work, "load", 40, size=5_000_000)
    asked = pairpress("clean", "--older-than", "30", PAIRPRESS_HOME=str(work))
    assert asked.returncode == 0, asked.stderr
    shown = "5.0 MB" in asked.stdout and f"stage: {old}" in asked.stdout
    assert shown and "Add --yes" in asked.stdout and old.exists()
    done = pairpress("clean", "--older-than", "30", "--yes", PAIRPRESS_HOME=str(work))
    assert "Removed: 5.0 MB." in done.stdout and not old.exists()
    again = pairpress("clean", "--older-than", "30", "--yes", PAIRPRESS_HOME=str(work))
    assert "Not used for 30 days: 0, 0.0 MB." in again.stdout
    both = pairpress("clean", "--older-than", "1", "--of", "me/x", PAIRPRESS_HOME=str(work))
    assert both.returncode == 2 and "give one of them" in both.stderr
