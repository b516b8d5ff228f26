"""What a change makes again: the stages that use it, what follows from them, and no other. In a
copy of the tree beside a copy of the demo's finished stages: many changes are asked of a plan, one
is really run.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest
from ground import GROUND, ROOT

pytestmark = pytest.mark.slow

# Each change is made, a plan is asked what is finished and what comes next, and it is undone.
ASKS = """
import json, sys
from pathlib import Path

from flows.plan_release import plan_release
from tasks.core.recipes import read_recipe
from tasks.core.stage import work_folder

def look(*changes):
    book, other = Path("prefect.yaml"), "release.repository=pairpress/another"
    found = plan_release(read_recipe("demo", book, [other, *changes]))
    assert not found.refusals, found.refusals
    return [*found.finished, found.next_stage]

told = {"nothing": look()}
for name in json.loads(sys.argv[1]):
    text = Path(name).read_text()
    Path(name).write_text(text + "\\n# one more line\\n")
    told[name] = look()
    Path(name).write_text(text)
for change in json.loads(sys.argv[2]):
    told[change] = look(change)
for stage in json.loads(sys.argv[3]):
    (away := work_folder() / stage).mkdir()
    for folder in (work_folder() / "stages").glob(f"{stage}-[0-9a-f]*"):  # of other tests as well
        folder.rename(away / folder.name)
    told[f"without {stage}"] = look()
    for folder in away.iterdir():
        folder.rename(work_folder() / "stages" / folder.name)
told["again"] = look()
print(json.dumps(told))
"""
ORDER = [
    *("load", "reformat", "deduplicate", "split", "curate", "account", "validate"),
    *("evaluate-before", "reference", "train", "evaluate-after", "merge"),
]
FILES = {  # a line more -> the first stage that is made again; None: none is
    "tasks/core/reformat.py": "load",  # which tells the form of the first rows by it
    "tasks/core/split.py": "split",
    "tasks/core/behaviour.py": "evaluate-before",
    "tasks/core/watching.py": "train",
    "README.md": None,
    "flows/align_model.py": None,
    "tasks/core/housekeeping.py": None,
}
SETTINGS = {
    "reading.max_length=200": "reformat",
    "splits.test=0.3": "split",
    "measure.max_new_tokens=40": "evaluate-before",
    "training.learning_rate=4e-4": "train",
    "merge.dtype=bfloat16": "merge",
    "gate=[]": None,
}
DELETED = ("curate", "train")


def made_again(first):
    """A plan names what is finished before the first stage that is not, and that one."""
    return [*ORDER, None] if first is None else ORDER[: ORDER.index(first) + 1]


@pytest.fixture(scope="module")
def copies(demo, tmp_path_factory):
    """(tree, work folder)"""
    folder = tmp_path_factory.mktemp("rebuilds")
    tree, home = folder / "tree", folder / "home"
    skipped = shutil.ignore_patterns(".*", "__pycache__")
    for name in ("flows", "tasks", "expectations", "localhub", "demo"):
        shutil.copytree(ROOT / name, tree / name, ignore=skipped)
    for name in ("prefect.yaml", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tree)
    shutil.copytree(GROUND / "work" / "stages", home / "stages")
    return tree, home


def python(tree, home, *arguments):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env=os.environ | {"PAIRPRESS_HOME": str(home), "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_plan_names_the_first_stage_that_a_change_makes_again(copies):
    asked = [json.dumps(list(one)) for one in (FILES, SETTINGS, DELETED)]
    told = json.loads(python(*copies, "-c", ASKS, *asked).splitlines()[-1])
    expected = {"nothing": None, **FILES, **SETTINGS}
    expected |= {f"without {stage}": stage for stage in DELETED} | {"again": None}
    assert told == {change: made_again(first) for change, first in expected.items()}


def test_a_run_after_a_changed_setting_makes_what_uses_it_and_all_that_follows_from_that(copies):
    """Stages are known by the bytes of what came before: a changed line that changes no byte of a
    stage makes that stage again, and what follows is found finished."""
    tree, home = copies
    changes = ("training.learning_rate=4.9e-4", "release.repository=pairpress/remade")
    settings = [part for change in changes for part in ("--set", change)]
    python(tree, home, "-m", "flows", "run", "demo", *settings)
    lines = (home / "runs" / "latest" / "stages.jsonl").read_text().splitlines()
    cached = {one["stage"]: one["cached"] for one in map(json.loads, lines) if one["folders"]}
    again = [stage for stage, kept in cached.items() if not kept]
    assert again == ["train", "evaluate after", "merge", "write release", "verify release"]
    assert len(cached) >= len(again) + 9, cached
