"""What a person's yes is worth for, and what becomes of a question without an answer."""

import json
import re
import shlex
import shutil
from datetime import timedelta

import pytest
from ground import ROOT, pairpress
from kilobytes import messages, release_folder, standing

from tasks.core import approval, staging
from tasks.core.errors import InputError, Refused
from tasks.core.plan import look
from tasks.core.publish import repositories
from tasks.core.recipes import checked, parameters_of, read_recipe
from tasks.core.refs import News, Staged, Written
from tasks.core.room import work_place
from tasks.core.settings import Base, Data, Recipe, Release
from tasks.core.stage import Folder, content_digest

NEWS = News(digest="inputs", standing=None)


def staged_from(folder, name, content="one") -> Staged:
    written = Written(
        folder=Folder(stage="release", path=folder, digest=content_digest(folder)),
        targets=repositories(name),
        version="v1",
        content=content,
        finished=False,
        private=False,
        changed="",
    )
    placed = staging.stage(written.targets, folder, "v1", content, False, messages("v1"))
    return Staged(written=written, placed=placed)


@pytest.fixture
def staged(hub, tmp_path, request) -> Staged:
    name = f"pairpress/approval-{abs(hash(request.node.name)):x}"
    return staged_from(release_folder(tmp_path, "one"), name)


def ask(staged: Staged, **settings) -> approval.Asked:
    name = staged.written.targets[-1].repo
    release = Release(repository=name, approval="ui", **settings)
    return approval.ask(name, NEWS, staged, release, "the-run", "http://ui/the-run")


def test_the_answer_is_taken_for_days_and_is_about_files_version_and_commits(staged):
    asked = ask(staged)
    assert asked.until - asked.asked == timedelta(days=7)
    assert asked.verdict == "waiting" and ask(staged, approval_days=0.5).digest == asked.digest
    folder = staged.written.folder.model_copy(update={"digest": "other"})
    for other in (
        {"version": "v2"},
        {"content": "two"},
        {"folder": folder},
    ):
        written = staged.written.model_copy(update=other)
        changed = staged.model_copy(update={"written": written})
        assert approval.staged_digest(changed) != asked.digest, other
    moved = [staged.placed[0].model_copy(update={"commit": "f" * 40}), *staged.placed[1:]]
    elsewhere = staged.model_copy(update={"placed": moved})
    with pytest.raises(Refused, match=r"dataset ffffffff.*Start another run"):
        approval.require_same(asked, elsewhere)
    # of an approved one a part may be on main already, by another commit
    approval.require_same(asked.model_copy(update={"verdict": "approved"}), elsewhere)
    approval.require_same(asked, staged)
    with pytest.raises(Refused, match="its files are others now"):
        approval.require_same_files(asked, staged.written.model_copy(update={"folder": folder}))
    with pytest.raises(Refused, match="inputs, settings or sources are others now"):
        approval.require_same_inputs(asked, News(digest="others", standing=None))


def test_the_question_shows_what_would_be_released_and_until_when(staged):
    asked = ask(staged)
    shown = approval.question(asked, "- strict 0.98")
    for one in staged.placed:
        assert f"{one.repo}/tree/{one.commit}" in shown
    assert f"{asked.until:%Y-%m-%d %H:%M} UTC" in shown and "- strict 0.98" in shown
    assert f"**Release v1 of {asked.repository}?**" in shown and asked.digest[:16] in shown


@pytest.mark.parametrize("verdict", ["refused", "lapsed", "changed"])
def test_a_run_that_had_its_answer_is_not_asked_again(staged, verdict):
    with pytest.raises(Refused, match="final for this run; start another one"):
        approval.require_open(ask(staged).model_copy(update={"verdict": verdict}))
    approval.require_open(ask(staged))


def test_a_question_is_found_by_its_repository_until_it_has_an_answer(staged, tmp_path):
    runs = tmp_path / "runs"
    (runs / "a").mkdir(parents=True)
    (runs / "latest").symlink_to("a")
    asked = ask(staged)
    approval.write(runs / "a", asked)
    assert list(approval.waiting(runs, asked.repository)) == [(runs / "a", asked)]
    assert list(approval.waiting(runs, "somebody/else")) == []
    approval.write(runs / "a", asked.model_copy(update={"verdict": "approved"}))
    assert list(approval.waiting(runs, asked.repository)) == []


def test_withdrawing_removes_its_branches_and_nobody_elses(staged):
    asked = ask(staged)
    other = staged.placed[1].model_copy(update={"commit": "f" * 40})
    theirs = asked.model_copy(update={"placed": [staged.placed[0], other, staged.placed[2]]})
    removed = [line.split(":")[0] for line in approval.withdraw(theirs)]
    assert removed == [staged.placed[0].repo, staged.placed[2].repo]
    left = {part: set(refs) for part, (_, _, refs) in standing(asked.repository).items()}
    assert left == {
        "dataset": {"main"},
        "adapter": {"main", "release/v1"},
        "model": {"main"},
    }
    assert approval.withdraw(asked) == [f"{asked.repository}-adapter: release/v1"]


def test_who_cannot_wait_is_told_what_can():
    with pytest.raises(InputError, match="`prefect deployment run release-model/NAME`"):
        asking = Release(repository="x", approval="ui")
        approval.require_deployment(asking, "release-model/NAME", {})
    approval.require_deployment(Release(repository="x"), "release-model/NAME", {})


def test_the_deployment_that_it_is_told_asks_too_and_has_its_other_changes():
    """A section that is given to a deployment replaces the one of the book."""
    changes = ("--set", "release.approval=ui", "--set", "training.max_steps=3")
    refused = pairpress("run", "demo", *changes)
    assert refused.returncode == 2 and refused.stderr.startswith("pairpress: release.approval ui:")
    assert "localhub" not in refused.stderr  # nothing was started
    told = re.search(r"`prefect deployment run release-model/demo (.*?)`", refused.stderr)
    given = [word for word in shlex.split(told[1]) if word != "--param"]
    sections = {name: json.loads(value) for name, _, value in (one.partition("=") for one in given)}
    book = parameters_of("demo", ROOT / "prefect.yaml")
    as_run = read_recipe("demo", ROOT / "prefect.yaml", changes[1::2])
    assert checked(book | sections, "demo") == as_run
    assert set(sections) == {"release", "training"}
    bare = pairpress("run", "release")
    assert "`prefect deployment run release-model/release`" in bare.stderr


def test_a_plan_tells_open_questions_and_not_their_branches_nor_a_run_its_own(staged, tmp_path):
    asked = ask(staged)
    run = work_place() / "runs" / asked.run
    run.mkdir(parents=True)
    approval.write(run, asked)
    base, data = Base(model="pairpress/no-base"), Data(path="pairpress/no-rows")
    recipe = Recipe(base=base, data=data, release=Release(repository=asked.repository))
    assert look(recipe).notes == (approval.told(asked),)
    assert look(recipe, asked.run).notes == ()
    approval.write(run, asked.model_copy(update={"verdict": "lapsed"}))
    notes = look(recipe).notes
    assert len(notes) == 3 and all("branch release/v1 is left" in note for note in notes)
    shutil.rmtree(run)


def test_the_answers_stand_below_each_other_with_every_sentence_and_metric():
    shown = approval.evaluation(
        ["passed: strict >= 0.9: it is 1"], [("Who?", "I am A.\nB", "C")], {"kl": 0.0}, {"kl": 1.25}
    )
    assert shown.split("\n\n") == [
        "- passed: strict >= 0.9: it is 1",
        "**Who?**",
        "- before: I am A. B\n- after: C",
        "| metric | before | after |\n|---|---|---|\n| kl | 0 | 1.25 |",
    ]
