"""Every recipe of the book on miniatures, in one command: what a person does before renting."""

import json
import re
import resource

import pytest
from ground import GROUND, ROOT, pairpress

from tasks.core.recipes import rehearsed_apart

pytestmark = pytest.mark.slow


def test_all_recipes_rehearse_in_one_command_and_release_nowhere_else() -> None:
    names = rehearsed_apart(ROOT / "prefect.yaml")
    endpoint = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_of_a_person"}  # nobody there
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = pairpress("rehearse", **endpoint)
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
    # Two minutes each is what is promised; in CPU time, since what else runs here must not decide.
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert took < 120 * len(names)
    home = GROUND / "work" / "rehearsals"
    releases = sorted((home / "runs").glob("*/release.json"))
    repositories = [json.loads(path.read_text())["repositories"] for path in releases]
    released = [one["repo"] for parts in repositories for one in parts.values()]
    assert len(set(released)) == 3 * len(names)
    assert all(repo.startswith("rehearsal/") for repo in released)
    assert "hf_of_a_person" not in done.stdout + done.stderr
    planned = pairpress("plan", "hh", **endpoint)
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
