"""All recipes of a book on miniatures, in one command: what a person does before renting.

The book is two of ours, which use the most between them: correction and a sweep, own answers and a
judge. Each takes a minute; tests/tasks/test_core_recipes.py reads them all,
test_recipes_on_tiny and test_real_input run the forms of others.
"""

import json
import re
import resource
from pathlib import Path

import pytest
import yaml
from ground import GROUND, ROOT, pairpress

from tasks.core.recipes import rehearsed_apart

pytestmark = pytest.mark.slow


DIFFERENT = ("identity-qwen", "on-policy")


def test_all_recipes_rehearse_in_one_command_and_release_nowhere_else(tmp_path: Path) -> None:
    read = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    read["deployments"] = [one for one in read["deployments"] if one["name"] in DIFFERENT]
    book = tmp_path / "prefect.yaml"
    book.write_text(yaml.safe_dump(read))
    names = rehearsed_apart(book)
    assert sorted(names) == sorted(DIFFERENT)
    endpoint = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_of_a_person"}  # nobody there
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = pairpress("rehearse", "--recipe", str(book), **endpoint)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"{len(names)} of {len(names)} recipes came to a release" in done.stdout
    for name in names:
        page = re.search(rf"^{name}\n(.*?)(?=^\S)", done.stdout, re.M | re.S)
        assert page is not None, name
        assert "training.max_steps" in page[1] and "5 steps of the miniature" in page[1]
        assert "the full run, on this machine" in page[1] and "parameters, " in page[1]
        assert re.search(r"went through every stage in \d+ s", page[1])
    assert re.search(r"^the whole command took \d+ s", done.stdout, re.M)
    assert "watch.limits (reported, stops nothing)" in done.stdout
    # In CPU time, since what else runs here must not decide. A recipe takes about a minute of it.
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert took < 100 * len(names)
    home = GROUND / "work" / "rehearsals"
    releases = sorted((home / "runs").glob("*/release.json"))
    repositories = [json.loads(path.read_text())["repositories"] for path in releases]
    released = [one["repo"] for parts in repositories for one in parts.values()]
    assert len(set(released)) == 3 * len(names)
    assert all(repo.startswith("rehearsal/") for repo in released)
    assert "hf_of_a_person" not in done.stdout + done.stderr
    planned = pairpress("plan", "identity-qwen", **endpoint)
    assert planned.returncode == 2 and "did not answer" in planned.stdout
    assert "measured on" in planned.stdout, "a plan knows the time that a rehearsal has measured"


def test_a_recipe_that_cannot_be_rehearsed_is_told_and_the_command_says_so() -> None:
    done = pairpress(
        "rehearse", "hh", "--set", "reading.max_length=16", HF_ENDPOINT="http://127.0.0.1:9"
    )
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert "failed: " in done.stdout and "0 of 1 recipes came to a release" in done.stdout
    unknown = pairpress("rehearse", "hh", "--set", "base.model=someone/else")
    assert unknown.returncode == 2
    assert "no miniature of it is known" in unknown.stderr
