"""The deployments of prefect.yaml on a real server, with a real worker.

The recipe book is a copy in which nightly and release are the demo: the same forms, a tiny model;
and `mine` as well, which stands in no other book.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from ground import GROUND, ROOT
from pair_files import natural, written
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from real_server import PREFECT, asked, ended, prefect, started, state_of, told, until

from flows.deploy_book import NAME, schedules_kept
from tasks.core.recipes import deployments, parameters_of, read_recipe
from tasks.core.settings import Recipe

pytestmark = pytest.mark.server
BOOK = ROOT / "prefect.yaml"


@pytest.fixture(scope="module")
def book(server: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Deployed from the repository's own folder, as `prefect deploy --all` would be."""
    read = yaml.safe_load(BOOK.read_text())
    demo, *_ = read["deployments"]
    for one in read["deployments"]:
        if one["name"] in ("nightly", "release"):
            one["parameters"] = demo["parameters"]
    read["deployments"].append(demo | {"name": "mine"})
    copy = tmp_path_factory.mktemp("book") / "prefect.yaml"
    copy.write_text(yaml.safe_dump(read))
    names = [part for name in ("nightly", "ci", "alone", "mine") for part in ("--name", name)]
    prefect(server, "deploy", *names, "--prefect-file", str(copy))
    return copy


def stored(server: dict[str, str]) -> dict[str, dict[str, Any]]:
    """By flow and name, without what each deploy writes anew."""
    flows = {one["id"]: one["name"] for one in asked(server, "flows/filter")}
    apart = {"updated", "last_polled", "status", "version_id", "labels"}
    found = {}
    for one in asked(server, "deployments/filter"):
        for schedule in one["schedules"]:
            schedule.pop("updated"), schedule.pop("id"), schedule.pop("created")
        kept = {key: value for key, value in one.items() if key not in apart}
        found[f"{flows[one['flow_id']]}/{one['name']}"] = kept
    return found


def test_all_of_the_book_deploys_on_a_new_server_and_the_same_again(server) -> None:
    prefect(server, "deploy", "--all")
    first, automations = stored(server), asked(server, "automations/filter")
    prefect(server, "deploy", "--all")
    assert stored(server) == first
    again = asked(server, "automations/filter")
    assert [one["name"] for one in again] == [one["name"] for one in automations]
    parts = ("prepare-data", "align-model", "stage-release", "promote-release")
    recipes = {f"release-model/{name}" for name in deployments(BOOK)}
    assert set(first) == recipes | {f"{part}/alone" for part in parts} | {"check-dataset/ci"}
    for place in recipes:
        ours = parameters_of(place.split("/")[1], BOOK)
        assert first[place]["parameters"] == ours
        assert set(first[place]["parameter_openapi_schema"]["properties"]) == set(
            Recipe.model_fields
        )
    nightly = first["release-model/nightly"]
    assert Recipe.model_validate(nightly["parameters"]) == read_recipe("nightly", BOOK)
    assert [(one["slug"], one["active"]) for one in nightly["schedules"]] == [("nightly", False)]
    assert nightly["global_concurrency_limit"]["limit"] == 1
    assert nightly["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    assert first["release-model/release"]["parameters"]["release"]["approval"] == "ui"


def test_a_schedule_that_a_person_turns_on_yields_a_scheduled_run(server, book, tmp_path) -> None:
    """A broken SQLAlchemy is seen here alone. Prefect's own deploy would turn the schedule off."""
    at = "release-model/nightly"
    (schedule,) = told(server, f"deployments/name/{at}")["schedules"]
    prefect(server, "deployment", "schedule", "resume", at, schedule["id"])

    def scheduled() -> list[dict]:
        states = {"state": {"type": {"any_": ["SCHEDULED"]}}}
        return asked(server, "flow_runs/filter", flow_runs=states)

    until(scheduled, 180)
    again = [PREFECT[0], "--no-prompt", "deploy", "--name", "nightly", "--prefect-file", str(book)]
    with (
        temporary_settings({PREFECT_API_URL: server["PREFECT_API_URL"]}),
        get_client(sync_client=True) as client,
        schedules_kept(client, tmp_path),
    ):
        subprocess.run(again, env=server, cwd=ROOT, capture_output=True, check=True)
        (after,) = told(server, f"deployments/name/{at}")["schedules"]
        assert not after["active"]
    (after,) = told(server, f"deployments/name/{at}")["schedules"]
    assert after["active"]
    prefect(server, "deployment", "schedule", "pause", at, after["id"])
    killed = tmp_path / NAME  # left by a deploy that was killed before it had put this back
    killed.write_text(json.dumps([f"{told(server, f'deployments/name/{at}')['id']} nightly"]))
    with (
        temporary_settings({PREFECT_API_URL: server["PREFECT_API_URL"]}),
        get_client(sync_client=True) as client,
        schedules_kept(client, tmp_path),
    ):
        pass
    (after,) = told(server, f"deployments/name/{at}")["schedules"]
    assert after["active"] and not killed.exists()
    prefect(server, "deployment", "schedule", "pause", at, after["id"])
    one = told(server, f"deployments/name/{at}")["id"]

    def none_left() -> bool:
        """Again where Prefect's scheduler, which had read of it before, has added runs since."""
        url = f"{server['PREFECT_API_URL']}/deployments/{one}/schedules/{after['id']}"
        httpx.patch(url, json={"active": False}, timeout=60).raise_for_status()
        return not scheduled()

    until(none_left, 180, every=5)


def test_a_night_without_news_ends_in_seconds_and_a_second_run_waits_for_the_first(
    server, worker, demo, tiny_base, book
) -> None:
    """The tests' Hub holds the demo's release; only the demo's seed needs a stage's folder."""
    stages = Path(server["PAIRPRESS_HOME"]) / "stages"
    shutil.copytree(tiny_base, stages / tiny_base.name, dirs_exist_ok=True)
    both = [started(server, "release-model/nightly") for _ in range(2)]
    names: set[str] = set()

    def both_ended() -> bool:
        names.update(told(server, f"flow_runs/{run}")["state"]["name"] for run in both)
        return {state_of(server, run) for run in both} == {"COMPLETED"}

    until(both_ended, 300, every=0.2)
    assert "AwaitingConcurrencySlot" in names  # either may be the first to be taken
    for run in both:
        record = json.loads(run_of(server, run, "release.json").read_text())
        assert record["nothing_new"] and record["version"] == "v1"
        ran = told(server, f"flow_runs/{run}")
        assert ran["total_run_time"] < 60  # 8 s on two idle cores
        print("nothing new:", ran["total_run_time"])


def run_of(server: dict[str, str], run: str, name: str, home: Path | None = None) -> Path:
    return (home or Path(server["PAIRPRESS_HOME"])) / "runs" / run / name


def test_an_event_starts_the_check_of_the_data_set_that_it_names(
    server, worker, book, tmp_path
) -> None:
    file = written(tmp_path / "pairs.jsonl", natural())
    ids = {run["id"] for run in asked(server, "flow_runs/filter")}
    payload = json.dumps({"source": [file]})
    prefect(
        server,
        *("event", "emit", "dataset.updated", "--resource-id", "me/pairs", "--payload", payload),
    )

    def begun() -> list[dict]:
        return [run for run in asked(server, "flow_runs/filter") if run["id"] not in ids]

    (run,) = until(begun, 120)
    assert run["parameters"]["source"] == [file]
    assert told(server, f"deployments/{run['deployment_id']}")["name"] == "ci"
    run = ended(server, run["id"])
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run_of(server, run["id"], "report/report.md").exists()


def test_each_part_goes_on_from_where_an_earlier_one_stopped(server, worker, demo, book, tmp_path):
    """With the demo's finished stages, but for those that these settings change."""
    home = tmp_path / "work"
    shutil.copytree(GROUND / "work" / "stages", home / "stages", copy_function=os.link)
    job = {"env": {"PAIRPRESS_HOME": str(home)}}

    def ran(deployment: str, state: str = "COMPLETED", **parameters: Any) -> dict[str, Any]:
        run = ended(server, started(server, deployment, job, **parameters))
        assert run["state_type"] == state, run["state"]["message"]
        return run

    none = ran("align-model/alone", "FAILED")
    assert "no run made 'prepared' here. Run prepare-data/alone first" in none["state"]["message"]
    name = "release.repository=pairpress/in-parts"
    data = ran("prepare-data/alone", recipe="mine", changes=[name])
    shorter = "training.max_steps=140"
    model = ran("align-model/alone", run=data["id"], changes=[shorter])
    about = {"flow_run_id": {"any_": [model["id"]]}}
    said = [one["message"] for one in asked(server, "logs/filter", logs=about)]
    assert any(shorter in line and "settings differ from release-model/" in line for line in said)
    kept = {path.stem for path in run_of(server, model["id"], "references", home).glob("*.json")}
    assert kept == {"recipe", "news", "base", "prepared", "aligned"}
    closed = ran("align-model/alone", "FAILED", changes=["reading.max_length=64"])
    assert "reading was decided by prepare-data/alone" in closed["state"]["message"]
    staged = ran("stage-release/alone")
    refs = tags_and_branches("pairpress/in-parts")
    assert refs == (set(), {"main", "release/v1"})
    released = ran("promote-release/alone", run=staged["id"])
    assert tags_and_branches("pairpress/in-parts") == ({"v1"}, {"main"})
    record = json.loads(run_of(server, released["id"], "release.json", home).read_text())
    assert record["version"] == "v1" and record["settings"]["training"]["max_steps"] == 140
    # The whole flow with the same settings finds this very release.
    done = subprocess.run(
        [sys.executable, "-m", "flows", "run", "demo", "--set", name, "--set", shorter],
        cwd=ROOT,
        env=os.environ | {"PAIRPRESS_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "nothing new" in done.stdout.lower(), done.stderr[-2000:]
    prepared = json.loads(run_of(server, data["id"], "references/prepared.json", home).read_text())
    shutil.rmtree(prepared["pairs"]["path"])
    gone = ran("align-model/alone", "FAILED", run=data["id"])
    assert "stage curate is gone" in gone["state"]["message"]
    assert "Run prepare-data/alone again" in gone["state"]["message"]


def tags_and_branches(repository: str) -> tuple[set[str], set[str]]:
    from huggingface_hub import HfApi

    refs = HfApi().list_repo_refs(repository)
    return {one.name for one in refs.tags}, {one.name for one in refs.branches}
