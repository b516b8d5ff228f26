"""tasks/core/heap.py: a command that trains begins once more, with another heap, and only then."""

import os
import subprocess
import sys

import pytest
from ground import ROOT

from flows import __main__ as command_line
from tasks.core import heap

PROGRAM = (
    "import os, sys; print(os.getpid(), flush=True)\n"
    "from tasks.core.heap import VARIABLE, begin_anew; begin_anew()\n"
    "print(os.environ[VARIABLE], sys.argv[1:])"
)
TOLD = (
    "print('begun', flush=True)\n"
    "from tasks.core.heap import begin_anew; begin_anew()\n"
    "print('goes on')"
)
COMMAND = [sys.executable, "-c", PROGRAM, "--set", "a=b c"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the variable is glibc's")


def said(**environment: str) -> list[str]:
    ours = (heap.VARIABLE, *heap.BEGUN)
    told = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        COMMAND, env=told | environment, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_process_begins_once_more_and_stays_itself() -> None:
    first, again, last = said()
    assert first == again  # its number: who waits for it, or stops it, notices nothing
    assert last == "glibc.malloc.tcache_count=0 ['--set', 'a=b c']"


def test_a_heap_that_somebody_chose_stays() -> None:
    _, last = said(GLIBC_TUNABLES="glibc.malloc.perturb=0")
    assert last == "glibc.malloc.perturb=0 ['--set', 'a=b c']"


def test_where_the_variable_is_taken_away_a_process_begins_twice_and_no_more() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import os; os.environ.pop({heap.VARIABLE!r}, None)\n" + TOLD],
        env={name: value for name, value in os.environ.items() if name not in heap.BEGUN},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == ["begun", "begun", "goes on"], done.stderr


@pytest.mark.parametrize("command", ["run", "up", "demo", "rehearse", "check", "list", "--help"])
def test_only_commands_that_train_begin_anew(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[dict[str, str]] = []
    for name in (heap.VARIABLE, *heap.BEGUN):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "execve", lambda *told: begun.append(told[-1]))
    monkeypatch.setattr(command_line, "app", lambda: None)
    monkeypatch.setattr(sys, "argv", ["pairpress", command])
    command_line.main()
    trains = command in ("run", "up", "demo", "rehearse")
    assert [one[heap.VARIABLE] for one in begun] == ["glibc.malloc.tcache_count=0"] * trains
