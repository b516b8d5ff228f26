"""A stage's folder: made once, found again by what made it, whole or not at all."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ground import ROOT

from tasks.core import errors, gate, stage
from tasks.core.errors import InputError
from tasks.core.stage import Folder, build, content_digest, source_digest

# What a second process runs: it says that it is here, then wants the folder as well. The maker
# stays inside `make` until `released` is there.
BUILDER = """
import sys, time
from pathlib import Path
from tasks.core import gate
from tasks.core.stage import build

meet, name = Path(sys.argv[1]), sys.argv[2]

def make(folder):
    (folder / "maker").write_text(name)
    (meet / f"making-{name}").touch()
    while not (meet / "released").exists():
        time.sleep(0.01)
    return {"maker": name}

(meet / f"here-{name}").touch()
found = build("shared", {"n": 1}, (gate,), make, told=lambda text: (meet / "waits").touch())
print(found.cached, found.facts["maker"])
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PAIRPRESS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def writes(text: str) -> Callable[[Path], dict[str, Any]]:
    def make(folder: Path) -> dict[str, Any]:
        (folder / "out.txt").write_text(text)
        return {"characters": len(text)}

    return make


def never(folder: Path) -> dict[str, Any]:
    raise AssertionError(f"{folder} was made again")


def made(
    made_from: dict[str, Any], make: Callable[[Path], dict[str, Any]], **options: Any
) -> Folder:
    return build("count", made_from, (errors,), make, **options)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not appear"
        time.sleep(0.01)


def builder(home: Path, meet: Path, name: str) -> subprocess.Popen[str]:
    meet.mkdir(exist_ok=True)
    script = meet / "builder.py"  # a file, since a stage's key covers the file that makes it
    script.write_text(BUILDER)
    return subprocess.Popen(
        [sys.executable, str(script), str(meet), name],
        cwd=ROOT,
        env=os.environ | {"PAIRPRESS_HOME": str(home), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_stage_is_made_once_and_found_from_then_on(home: Path) -> None:
    first = made({"n": 1}, writes("one"))
    again = made({"n": 1}, never)
    assert (first.cached, again.cached) == (False, True)
    assert again == first.model_copy(update={"cached": True})
    assert first.path.parent == home / "stages" and first.facts == {"characters": 3}
    assert first.path.name.startswith("count-")
    assert (first.path / "out.txt").read_text() == "one"


def test_another_input_another_library_or_another_stage_is_another_folder(home: Path) -> None:
    paths = {
        made({"n": 1}, writes("a")).path,
        made({"n": 2}, writes("a")).path,
        made({"n": 1, "m": None}, writes("a")).path,
        made({"n": 1}, writes("a"), packages=("numpy",)).path,
        build("other", {"n": 1}, (errors,), writes("a")).path,
        build("count", {"n": 1}, (gate,), writes("a")).path,
    }
    assert len(paths) == 6


def test_the_order_of_the_settings_does_not_matter(home: Path) -> None:
    first = made({"a": 1, "b": 2}, writes("x"))
    assert made({"b": 2, "a": 1}, never).path == first.path


def test_the_digest_is_of_the_files_alone(home: Path) -> None:
    one, two = made({"n": 1}, writes("same")), made({"n": 2}, writes("same"))
    assert one.digest == two.digest != made({"n": 3}, writes("else")).digest


def test_a_renamed_or_changed_file_is_another_digest(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("x")
    before = content_digest(tmp_path)
    (tmp_path / "sub" / "a").rename(tmp_path / "sub" / "b")
    renamed = content_digest(tmp_path)
    (tmp_path / "sub" / "b").write_text("y")
    assert len({before, renamed, content_digest(tmp_path)}) == 3


def test_done_json_says_what_made_the_folder(home: Path) -> None:
    folder = made({"n": 1}, writes("one"), packages=("pydantic",))
    done = json.loads((folder.path / "done.json").read_text())
    assert done["made_from"]["made_from"] == {"n": 1}
    assert list(done["made_from"]["packages"]) == ["pydantic"]
    assert (done["digest"], done["facts"]) == (folder.digest, folder.facts)


def test_a_folder_without_done_json_is_made_again(home: Path) -> None:
    folder = made({"n": 1}, writes("one"))
    (folder.path / "done.json").unlink()
    (folder.path / "left-over").touch()
    again = made({"n": 1}, writes("one"))
    assert not again.cached
    assert sorted(path.name for path in again.path.iterdir()) == ["done.json", "out.txt"]


def test_a_deleted_folder_is_made_again(home: Path) -> None:
    folder = made({"n": 1}, writes("one"))
    for path in folder.path.iterdir():
        path.unlink()
    folder.path.rmdir()
    assert not made({"n": 1}, writes("one")).cached


def test_a_stage_that_fails_leaves_no_folder_and_the_next_try_begins_anew(home: Path) -> None:
    def fails(folder: Path) -> dict[str, Any]:
        (folder / "half").touch()
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        made({"n": 1}, fails)
    assert list((home / "stages").glob("count-*")) == []
    folder = made({"n": 1}, writes("one"))
    assert not (folder.path / "half").exists()


def test_of_two_processes_one_makes_the_folder_and_the_other_waits_for_it(
    home: Path, tmp_path: Path
) -> None:
    meet = tmp_path / "meet"
    both = [builder(home, meet, name) for name in ("a", "b")]
    for name in ("a", "b"):
        wait_for(meet / f"here-{name}")
    wait_for(meet / "waits")  # the second is at the lock, and has said so
    (meet / "released").touch()
    said = sorted(process.communicate(timeout=30)[0].split() for process in both)
    maker = said[0][1]
    assert said == [["False", maker], ["True", maker]]
    assert [path.name for path in meet.glob("making-*")] == [f"making-{maker}"]


def test_a_killed_process_leaves_neither_its_lock_nor_half_a_folder(
    home: Path, tmp_path: Path
) -> None:
    meet = tmp_path / "meet"
    killed = builder(home, meet, "killed")
    wait_for(meet / "making-killed")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert list((home / "stages").glob("shared-*")) == []
    (meet / "released").touch()
    assert builder(home, meet, "next").communicate(timeout=30)[0].split() == ["False", "next"]


def test_a_home_that_is_a_file_is_refused_with_the_variable_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PAIRPRESS_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError) as refused:
        made({"n": 1}, never)
    assert str(tmp_path / "file") in str(refused.value)
    assert "Set PAIRPRESS_HOME to a folder you own" in str(refused.value)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small house of its own: tasks/core/uses.py imports used.py and, in a function, late.py."""
    files = {
        "tasks/core/uses.py": (
            "import json\n\ndef go():\n    from tasks.core import late\n"
            "    from expectations.measures.used import one\n    return late, one, json\n"
        ),
        "tasks/core/late.py": "import expectations.measures.below\n",
        "expectations/measures/used.py": "one = 1\n",
        "expectations/measures/below.py": "two = 2\n",
        "tasks/core/apart.py": "three = 3\n",
        "flows/release.py": "four = 4\n",
        "README.md": "five\n",
    }
    for name, text in files.items():
        path = tmp_path / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(stage, "ROOT", tmp_path / "house")
    return tmp_path / "house"


def module_at(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name",
    [
        "tasks/core/uses.py",
        "tasks/core/late.py",
        "expectations/measures/used.py",
        "expectations/measures/below.py",
    ],
)
def test_a_changed_line_in_what_a_stage_imports_makes_another_folder(
    home: Path, tree: Path, name: str
) -> None:
    uses = module_at(tree / "tasks" / "core" / "uses.py")
    before = build("count", {}, (uses,), writes("x"))
    assert build("count", {}, (uses,), never).path == before.path
    with (tree / name).open("a") as file:
        file.write("changed = True\n")
    after = build("count", {}, (uses,), writes("x"))
    assert not after.cached and after.path != before.path


@pytest.mark.parametrize("name", ["tasks/core/apart.py", "flows/release.py", "README.md"])
def test_a_changed_line_in_what_a_stage_does_not_import_rebuilds_nothing(
    tree: Path, name: str
) -> None:
    uses = module_at(tree / "tasks" / "core" / "uses.py")
    before = source_digest(uses)
    with (tree / name).open("a") as file:
        file.write("changed = True\n")
    assert source_digest(uses) == before


def test_a_folder_that_lost_a_file_is_made_again(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PAIRPRESS_HOME", str(tmp_path))

    def make(folder: Path) -> dict[str, Any]:
        (folder / "rows.txt").write_text("rows")
        return {}

    first = build("lost", {}, (), make)
    assert build("lost", {}, (), make).cached
    (first.path / "rows.txt").unlink()
    again = build("lost", {}, (), make)
    assert not again.cached and (again.path / "rows.txt").read_text() == "rows"
