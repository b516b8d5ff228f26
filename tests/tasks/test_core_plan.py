"""A plan looks at everything and writes nothing; all that is wrong is told at once.

It is long because a plan looks at so much.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from random_models import tokenizer_in, writer

from flows.print_plan import print_plan
from localhub.client_env import Server, client_environment, running
from tasks.core.errors import InputError, Refused
from tasks.core.kept_estimates import keep
from tasks.core.plan import Plan, look, require
from tasks.core.publish import next_version
from tasks.core.room import work_place
from tasks.core.settings import Recipe
from tasks.core.unchanged import digest_of

BASE, DATA, NAME = "pairpress/plan-base", "pairpress/plan-rows", "pairpress/plan"
PARTS = (("-pairs", "dataset"), ("-adapter", "model"), ("", "model"))
CARD = "---\nlicense: {}\n---\n# A card\n"


@pytest.fixture(scope="module")
def base_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan-base")
    tokenizer = tokenizer_in(folder)
    writer(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(CARD.format("apache-2.0"))
    return folder


def rows(count: int) -> bytes:
    one = {"chosen": "A fine answer.", "rejected": "A poor one."}
    lines = [json.dumps({"prompt": f"Question {n}?"} | one) + "\n" for n in range(count)]
    return "".join(lines).encode()


def put(repo: str, kind: str, files: dict[str, bytes], private: bool = False) -> str:
    api = HfApi()
    api.create_repo(repo, repo_type=kind, private=private, exist_ok=True)
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    return str(api.create_commit(repo, operations, commit_message="x", repo_type=kind).oid)


def release(name: str, version: str, parts: tuple[tuple[str, str], ...], says: dict) -> None:
    """Some of the repositories of a release of content A, tagged."""
    manifest = {"version": version, "content": "A", "repositories": {}} | says
    listed = {"dataset": {"a": {}}, "adapter": {"a": {}}, "model": {"a": {}}}
    for suffix, kind in parts:
        text = json.dumps(manifest | {"files": listed}).encode()
        put(name + suffix, kind, {"release.json": text}, private=True)
        HfApi().create_tag(name + suffix, tag=version, repo_type=kind)


@pytest.fixture(scope="module")
def on_hub(hub: Server, base_files: Path) -> dict[str, str]:
    """The commits of base and data set."""
    data = {"train.jsonl": rows(30), "README.md": CARD.format("cc-by-nc-4.0").encode()}
    files = {path.name: path.read_bytes() for path in base_files.iterdir()}
    return {"base": put(BASE, "model", files), "data": put(DATA, "dataset", data)}


def recipe(**changes: dict) -> Recipe:
    sections: dict[str, dict] = {
        "base": {"model": BASE},
        "data": {"path": DATA},
        "release": {"repository": NAME},
    }
    for section, values in changes.items():
        sections[section] = sections.get(section, {}) | values
    return Recipe.model_validate(sections)


def test_a_sound_recipe_is_told_whole(on_hub):
    plan = look(recipe())
    assert plan.refusals == ()
    require(plan)
    base, data = plan.sources
    assert (base.revision, data.revision) == (on_hub["base"], on_hub["data"])
    assert (base.licence, data.licence) == ("apache-2.0", "cc-by-nc-4.0")
    assert (plan.repository, plan.user, plan.version) == (NAME, "pairpress", "v1")
    assert not any(one.exists for one in plan.repositories)
    assert plan.data is not None
    assert (plan.data.total, plan.data.read, plan.data.rows) == (30, 30, 30)
    assert plan.data.mean > 0
    assert plan.pairs == {"train": 21, "validation": 3, "test": 6}  # a tenth and a fifth are held
    disk, memory = plan.room
    assert disk.parts["merged model"] == base.bytes
    assert disk.needed > 0 and not disk.is_short
    assert memory.needed > 4 * (plan.parameters or 0) > 0
    assert plan.estimate == ()


def test_a_restricted_licence_refuses_a_public_release_and_no_private_one(on_hub):
    assert look(recipe(release={"private": True})).refusals == ()
    (refusal,) = look(recipe(release={"private": False})).refusals
    assert "cc-by-nc-4.0" in refusal
    allowed = {"private": False, "restricted_licence": True}
    assert look(recipe(release=allowed)).refusals == ()


def test_all_that_is_wrong_is_told_at_once_and_the_rest_is_shown(on_hub, tmp_path):
    plan = look(
        recipe(
            data={"path": str(tmp_path / "none.jsonl")},
            evaluation={"text": "none.txt", "harmful_questions": "none-either.txt"},
            lora={"target_modules": ["nowhere"]},
            machine={"load_in_4bit": True, "bf16": None},
            release={"repository": "somebody/else", "version": "v2"},
        )
    )
    told = ("none.jsonl", "none.txt", "none-either.txt", "nowhere", "somebody/else", "4bit")
    for one in told:
        assert sum(one in refusal for refusal in plan.refusals) == 1, one
    assert plan.sources[0].revision == on_hub["base"]
    with pytest.raises(InputError) as refused:
        require(plan)
    assert all(one in str(refused.value) for one in told)


def test_a_large_data_set_is_read_at_its_beginning_only(on_hub, monkeypatch):
    monkeypatch.setattr("tasks.core.first_rows.SMALL", 100)
    monkeypatch.setattr("tasks.core.first_rows.MOST", 7)
    plan = look(recipe())
    assert plan.data is not None
    assert (plan.data.read, plan.data.total, plan.data.counted[:3]) == (7, None, "not")
    assert plan.pairs == {}


def test_what_stands_and_comes_next_is_seen(on_hub, hub):
    name = "pairpress/plan-standing"
    for part, kind in PARTS:
        put(name + part, kind, {"a.txt": b"1"}, private=True)
        HfApi().create_tag(name + part, tag="v4", repo_type=kind)
    HfApi().create_branch(name, branch="release/v5")
    plan = look(recipe(release={"repository": name}))
    assert [one.version for one in plan.repositories] == ["v4"] * 3
    assert all(one.exists and one.private and one.commit for one in plan.repositories)
    assert plan.version == "v5"
    assert any("release/v5" in note for note in plan.notes)
    assert plan.unchanged == ""
    (refusal,) = look(recipe(release={"repository": name, "version": "v3"})).refusals
    assert "v4" in refusal


def test_a_release_of_the_same_digest_is_seen(on_hub):
    name = "pairpress/plan-same"
    same = recipe(release={"repository": name})
    release(name, "v1", PARTS, {"digest": digest_of(same)})
    plan = look(same)
    assert (plan.unchanged, plan.digest) == ("v1", digest_of(same))
    other = look(recipe(release={"repository": name}, training={"seed": 1}))
    assert (other.unchanged, other.version) == ("", "v1 if its content is the same, else v2")
    assert other.digest != plan.digest


def test_a_plan_names_the_version_that_a_run_would_give(on_hub):
    name = "pairpress/plan-begun"
    release(name, "v1", PARTS[:1], {})  # killed after its data set
    assert look(recipe(release={"repository": name})).version == told_v1_or_v2(name, None)
    assert next_version(name, "A") == ("v1", False) and next_version(name, "B") == ("v2", False)
    wanted = look(recipe(release={"repository": name, "version": "v1"}))
    assert wanted.version == told_v1_or_v2(name, "v1") and wanted.refusals == ()
    assert "was begun and not finished" in wanted.notes[0]
    assert look(recipe(release={"repository": name, "version": "v7"})).version == "v7"


def told_v1_or_v2(name: str, wanted: str | None) -> str:
    """What a run says of the same content and of another."""
    versions = []
    for content in ("A", "B"):
        try:
            versions.append(next_version(name, content, wanted)[0])
        except Refused:
            versions.append("refused")
    return f"{versions[0]} if its content is the same, else {versions[1]}"


def test_files_of_people_are_told_or_refused_before_a_run(on_hub):
    name = "pairpress/plan-people"
    put(name, "model", {"LICENSE": b"x", "weights/old.gguf": b"x", "README.md": b"mine"}, True)
    plan = look(recipe(release={"repository": name}))
    assert plan.refusals == ()
    (note,) = [note for note in plan.notes if "LICENSE" in note]
    assert note.startswith(f"{name}: LICENSE, weights/old.gguf: ") and "stays" in note
    put(name, "model", {"model.safetensors": b"somebody's"}, True)
    (refusal,) = look(recipe(release={"repository": name})).refusals
    assert "main holds model.safetensors" in refusal and "another name" in refusal


def test_a_pull_request_that_awaits_approval_is_told_as_such(on_hub):
    name = "pairpress/plan-proposed"
    put(name, "model", {"a.txt": b"1"}, private=True)
    HfApi().create_branch(name, branch="release/v1")
    made = HfApi().create_pull_request(name, title="Release v1: model")
    notes = look(recipe(release={"repository": name})).notes
    assert f"{name}: {made.url} awaits approval." in notes
    assert not any("not finished" in note for note in notes)


def test_a_recipe_that_makes_its_own_base_is_planned_before_it_ran(hub):
    seed = {"model": "pairpress/not-yet", "dataset": "pairpress/nor-this"}
    plan = look(recipe(seed=seed, base={"model": seed["model"]}, data={"path": seed["dataset"]}))
    assert plan.refusals == ()
    assert all("by the run itself" in one.note for one in plan.sources)


def test_what_a_rehearsal_measured_is_told(on_hub):
    rehearsed = recipe(training={"seed": 11})
    work_place().mkdir(parents=True, exist_ok=True)
    keep(work_place(), rehearsed, ["one step: 2 s"])
    assert look(rehearsed).estimate[1:] == ("one step: 2 s",)
    assert look(recipe(training={"seed": 12})).estimate == ()


def test_the_page_names_what_matters_and_json_holds_it_all(on_hub, capsys):
    plan = look(recipe(release={"private": False}))
    assert print_plan(plan) == 2
    page = capsys.readouterr().out
    for word in (
        BASE,
        DATA,
        NAME,
        "cc-by-nc-4.0",
        on_hub["base"][:8],
        "30 rows",
        "v1",
        "In the way",
    ):
        assert word in page
    assert max(map(len, page.splitlines())) <= 110
    print_plan(plan, "json")
    assert Plan.model_validate_json(capsys.readouterr().out) == plan


ALONE = """
import sys
from tasks.core.plan import look
from tasks.core.settings import Recipe
plan = look(Recipe.model_validate_json(sys.stdin.read()))
print(plan.model_dump_json())
"""


def planned(of: Recipe, server: Server, home: Path) -> tuple[dict, Path]:
    """In a process of its own, whose client knows another Hub; and its folder."""
    work = home / "work"
    environment = os.environ | client_environment(server.url, server.token, home / "hf")
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        input=of.model_dump_json(),
        env=environment | {"PAIRPRESS_HOME": str(work), "TMPDIR": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout), work


def asked(server: Server, method: str, faults: list | None = None) -> dict:
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    body = None if faults is None else json.dumps(faults).encode()
    request = Request(f"{server.url}/_faults", method=method, headers=headers, data=body)
    with urlopen(request) as reply:
        return json.loads(reply.read() or b"{}")


def test_a_plan_only_asks_and_leaves_no_file(base_files, tmp_path):
    with running(tmp_path / "hub", faults=True) as server:
        api = HfApi(endpoint=server.url, token=server.token)
        for repo, kind, files in (
            (BASE, "model", {path.name: path.read_bytes() for path in base_files.iterdir()}),
            (DATA, "dataset", {"train.jsonl": rows(30)}),
        ):
            api.create_repo(repo, repo_type=kind)
            operations = [CommitOperationAdd(name, content) for name, content in files.items()]
            api.create_commit(repo, operations, commit_message="x", repo_type=kind)
        asked(server, "DELETE")
        plan, work = planned(recipe(), server, tmp_path)
        requests = asked(server, "GET")["requests"]
        assert plan["refusals"] == []
        assert {one["method"] for one in requests} == {"GET", "HEAD"}
        assert sum("whoami" in one["path"] for one in requests) == 1  # the Hub counts it strictly
        assert not any(one["path"].endswith(".safetensors") for one in requests)
        assert not work.exists()
        assert {path.name for path in tmp_path.iterdir()} == {"hub", "hf"}


def test_a_hub_that_is_silent_is_asked_once_and_the_files_are_still_looked_at(tmp_path, hub):
    nobody = Server("http://127.0.0.1:9", hub.token, hub.root)
    without_waiting = ALONE.replace(
        "import sys", "import sys\nfrom tasks.core import hub\nhub.WAITS_S = ()"
    )
    done = subprocess.run(
        [sys.executable, "-c", without_waiting],
        input=recipe(evaluation={"text": "none.txt"}).model_dump_json(),
        env=os.environ | client_environment(nobody.url, nobody.token, tmp_path / "hf"),
        capture_output=True,
        text=True,
        check=True,
    )
    refusals = json.loads(done.stdout)["refusals"]
    assert len(refusals) == 2
    assert "none.txt" in refusals[0]
    assert "did not answer" in refusals[1]
