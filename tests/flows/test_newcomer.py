"""A newcomer with the handbook: `pairpress up`, the pages in a real Chromium (form, refusal, run,
artifacts, approval), a kill and a retry, a night without news, the check of a good and a bad file.

in   docs/operate.md and docs/ci.md, whose commands are typed as they stand there, names filled in;
     `up` has a free port and a book whose release and nightly train the demo's tiny model
out  pictures of every page in $SCREENSHOTS, where that is set, for people to look at
     https://playwright.dev/python/docs/api/class-page

It is long because a person's whole way is in it, page after page.
"""

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ground import ROOT
from real_server import asked, ended, reports_of, state_of, told, until
from real_up import Up, start

pytestmark = [pytest.mark.server, pytest.mark.browser]

REPOSITORY = "pairpress/from-the-form"
PAGES = {
    "Settings": ["learning_rate"],
    "Source rows": ["set aside"],
    "What the checks found": ["Passed.", "Data Docs"],
    "Training of": ["train_pairs"],
    "Before and after": ["What is your name?"],
    "Gate": ["strict >= 0.9"],
    "Verified from the Hub": ["the same in 3 repositories"],
}
GROUPS = """top => [...top.children].map(one => {
    const text = (from, name) => from.querySelector(`.schema-form-property__${name}`)?.innerText;
    const inner = one.querySelector('.schema-form-properties');
    return {
        title: text(one, 'label').replace(' (Optional)', ''),
        description: text(one, 'description'),
        fields: [...(inner?.children ?? [])].map(field => [
            text(field, 'label').replace(' (Optional)', ''), text(field, 'description')]),
    };
})"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no browser: chromium is not on PATH (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def up(tiny_base: Path, tmp_path_factory: Any) -> Iterator[Up]:
    """`pairpress up --local` with release and nightly on the tiny model; its base is taken over as
    the finished stage that it is."""
    folder, home = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("home")
    skipped = shutil.ignore_patterns("__pycache__")
    for name in ("flows", "tasks", "expectations", "localhub", "demo", "deploy"):
        shutil.copytree(ROOT / name, folder / name, ignore=skipped)
    work = home / ".pairpress"
    shutil.copytree(tiny_base, work / "stages" / tiny_base.name)
    book = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    by_name = {one["name"]: one for one in book["deployments"]}
    release, nightly = by_name["release"], by_name["nightly"]
    release["parameters"] = copy.deepcopy(by_name["demo"]["parameters"])
    release["parameters"]["training"]["max_steps"] -= 1  # trained here, not found
    nightly["parameters"] = copy.deepcopy(release["parameters"])
    release["parameters"]["release"]["approval"] = "ui"
    nightly["parameters"]["release"]["repository"] = REPOSITORY  # what the form is filled in with
    (folder / "prefect.yaml").write_text(yaml.safe_dump(book | {"deployments": [release, nightly]}))
    found = start(folder / "prefect.yaml", work, "--port", "0", cwd=home)
    try:
        yield found
    finally:
        if found.process.poll() is None:
            found.process.send_signal(signal.SIGINT)
            found.process.wait(180)


@pytest.fixture(scope="module")
def server(up: Up) -> dict[str, str]:
    """The environment of a terminal beside it, as docs/operate.md sets it up."""
    programs = str(Path(sys.executable).parent)
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(up.work),
        "PREFECT_HOME": str(up.work / "of-the-terminal"),
        "PREFECT_API_URL": up.api,
        "PAIRPRESS_HOME": str(up.work),
        "DO_NOT_TRACK": "1",
    }


@pytest.fixture(scope="module")
def deployment(server: dict[str, str]) -> dict[str, Any]:
    return dict(told(server, "deployments/name/release-model/release"))


class Person:
    """Looks at one page after the other, and keeps a picture of each."""

    def __init__(self, page: Any, server: Mapping[str, str], pictures: Path) -> None:
        self.page, self.pictures = page, pictures
        self.ui = server["PREFECT_API_URL"].removesuffix("/api")

    def open(self, path: str) -> None:
        self.page.goto(path if "://" in path else f"{self.ui}/{path.lstrip('/')}")
        self.page.wait_for_load_state("networkidle")

    def looks(self, name: str, height: int = 1000) -> None:
        self.page.set_viewport_size({"width": 1280, "height": height})
        self.page.wait_for_timeout(1_000)  # what fades in
        self.page.screenshot(path=self.pictures / f"{name}.png")
        self.page.set_viewport_size({"width": 1280, "height": 1000})

    def rests(self) -> None:
        """The graph of a run moves as long as it does, and drawing it takes a whole core."""
        self.page.goto("about:blank")

    def tab(self, name: str) -> None:
        """By force: the graph above moves as long as a run does, and that takes a busy machine."""
        self.page.locator(".p-tab").get_by_text(name, exact=True).first.click(force=True)

    def link(self, text: str) -> str:
        """Where a link of an artifact leads; Prefect opens each in a new tab."""
        links = self.page.locator("a.markdown-renderer__link")
        return str(links.filter(has_text=re.compile(rf"^{text}")).first.get_attribute("href"))

    def sees(self, *texts: str, seconds: float = 180) -> None:
        for text in texts:
            self.page.get_by_text(text).first.wait_for(timeout=seconds * 1000)

    def field(self, group: str, name: str) -> Any:
        """The input of a form's field."""
        title = re.compile(rf"^{group}( \(Optional\))?$")
        section = self.page.locator(".schema-form-properties").first.locator(
            "> *",
            has=self.page.locator(".schema-form-property__label").get_by_text(title),
        )
        one = section.locator(".schema-form-properties > *").filter(
            has=self.page.locator(".schema-form-property__label").get_by_text(
                re.compile(rf"^{name}( \(Optional\))?$")
            )
        )
        return one.locator("input, textarea").first


@pytest.fixture
def person(chromium: Any, server: dict[str, str], tmp_path: Path) -> Iterator[Person]:
    pictures = Path(os.environ.get("SCREENSHOTS", tmp_path))
    pictures.mkdir(parents=True, exist_ok=True)
    page = chromium.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(120_000)
    yield Person(page, server, pictures)
    page.close()


def test_a_newcomer_releases_a_model_from_the_form_to_the_approval_over_a_kill(
    deployment: dict[str, Any], server: dict[str, str], up: Up, person: Person
) -> None:
    run = fill_in_the_form(person, deployment)
    person.rests()
    kill_in_training(run, server, up)
    typed("operate.md", "prefect flow-run retry RUN_ID", server, RUN_ID=run)
    until(lambda: state_of(server, run) == "RUNNING", 180)
    person.open(f"runs/flow-run/{run}")
    person.tab("Subflow Runs")
    person.sees("align-model")
    person.looks("03-running")
    person.rests()
    until(lambda: state_of(server, run) in ("PAUSED", "FAILED"), 900)
    read_the_pages(person, run)
    answer_the_question(person, run)
    if not is_resumed(server, run):  # "Something went wrong": the database was busy
        answer_the_question(person, run)
    assert ended(server, run)["state_type"] == "COMPLETED"
    hub = json.loads((up.work / "hub" / "server.json").read_text())["url"]
    look_at_the_release(person, run, hub)


def test_then_the_night_finds_nothing_to_do(server: dict[str, str], up: Up) -> None:
    command = "prefect deployment run release-model/identity-qwen"
    typed("operate.md", command, server, **{"identity-qwen": "nightly"})
    (run,) = [
        one["id"]
        for one in asked(server, "flow_runs/filter")
        if one["parameters"].get("release", {}).get("approval") != "ui"
        and one["parent_task_run_id"] is None
    ]
    assert ended(server, run)["state_type"] == "COMPLETED"
    record = json.loads((up.work / "runs" / run / "release.json").read_text())
    assert record["nothing_new"] and record["version"] == "v1"


def test_a_good_file_passes_its_check_and_a_bad_one_is_annotated(
    server: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    good, makes, bad = re.findall(
        r"^    ((?:pairpress check|sed) .*)$", (ROOT / "docs" / "ci.md").read_text(), re.M
    )[:3]
    passed = typed("ci.md", good, server, cwd=tmp_path)
    assert passed.splitlines()[-1] == "0"
    typed("ci.md", makes, server, cwd=tmp_path)
    failed = typed("ci.md", bad, server, cwd=tmp_path)
    assert failed.splitlines()[-1] == "1" and "::error file=shortcut.jsonl,line=" in failed
    assert "Certainly" in (tmp_path / "page.md").read_text()
    assert "<failure" in (tmp_path / "checks.xml").read_text()


def test_a_terminal_that_is_closed_stops_all_of_it(up: Up) -> None:
    up.process.send_signal(signal.SIGHUP)
    assert up.process.wait(180) == 0
    assert "All stopped" in up.said.read_text()


def typed(
    page: str, command: str, server: Mapping[str, str], cwd: Path = ROOT, **filled: str
) -> str:
    """What a command of the handbook prints, typed as it stands there but for its placeholders."""
    assert command in (ROOT / "docs" / page).read_text(), f"docs/{page} does not say {command!r}"
    for word, value in filled.items():
        command = command.replace(word, value)
    done = subprocess.run(
        ["bash", "-c", command],
        env=dict(server),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kill_in_training(run: str, server: Mapping[str, str], up: Up) -> None:
    """kill -9 once a checkpoint is there; then what the handbook says to wait for."""
    worker = up.work / "logs" / "worker.log"
    reports = reports_of(worker)

    def trains() -> bool:
        assert state_of(server, run) not in ("FAILED", "CRASHED"), told(server, f"flow_runs/{run}")
        return bool(list((up.work / "training").glob("*/checkpoint-*")))

    until(trains, 900, every=0.2)
    process = int(told(server, f"flow_runs/{run}")["infrastructure_pid"].rpartition(":")[2])
    os.kill(process, signal.SIGKILL)
    assert ended(server, run)["state_type"] == "CRASHED"
    until(lambda: reports_of(worker) > reports, 300)


def fill_in_the_form(person: Person, deployment: dict[str, Any]) -> str:
    """Id of the run that it starts, in the end."""
    page = person.page
    person.open(f"deployments/deployment/{deployment['id']}/run")
    person.sees("Learning Rate")
    groups = page.locator(".schema-form-properties").first.evaluate(GROUPS)
    assert [one["title"] for one in groups[:3]] == ["base", "data", "release"]
    asked = deployment["parameter_openapi_schema"]["properties"]
    assert {one["title"] for one in groups} == set(asked)
    for one in groups:
        assert one["description"], f"{one['title']} says nothing about itself"
        assert len(one["fields"]) <= 6, one
        assert all(description for _, description in one["fields"]), one
    person.looks("01-form", height=9000)
    rate = person.field("training", "Learning Rate")
    good = rate.input_value()
    rate.fill("0")
    page.get_by_role("button", name="Submit").click()
    person.sees("Validation failed for field 'training.learning_rate'")
    person.looks("02-refused")
    rate.fill(good)
    person.field("release", "Repository").fill(REPOSITORY)
    page.get_by_text("Run Name").locator("xpath=following::input[1]").first.fill("by-hand")
    submit(page)
    page.get_by_role("link", name="by-hand").first.click()
    page.wait_for_url("**/runs/flow-run/**")
    return str(page.url.rpartition("/")[2].partition("?")[0])


def submit(page: Any) -> None:
    """Once more where the server was busy, as a person would: SQLite takes one writer at a time."""
    page.get_by_role("button", name="Submit").click()
    busy = page.get_by_text("Something went wrong trying to create a flow run").first
    for _ in range(120):
        if "tab=Runs" in page.url:
            return
        if busy.is_visible():
            busy.wait_for(state="hidden")
            page.get_by_role("button", name="Submit").click()
        page.wait_for_timeout(1_000)
    raise AssertionError(f"no run after two minutes: {page.url}")


def read_the_pages(person: Person, run: str) -> None:
    """The whole story, without opening a log: the summary, and what it links to."""
    person.open(f"runs/flow-run/{run}")
    person.sees("Suspended")
    person.tab("Artifacts")
    person.sees("summary", "progress-train")  # what takes under a second has no bar
    person.looks("04-artifacts")
    person.page.get_by_text("summary", exact=True).first.click()
    person.sees("This run so far", *PAGES, "Approval")
    person.looks("05-summary")
    links = [person.link(title) for title in PAGES]
    for number, (title, link) in enumerate(zip(PAGES, links, strict=True), start=6):
        person.open(link)
        person.sees(*PAGES[title])
        person.looks(f"{number:02}-{title.lower().replace(' ', '-')}", height=1600)


def answer_the_question(person: Person, run: str) -> None:
    page = person.page
    person.open(f"runs/flow-run/{run}")
    page.get_by_role("button", name="Resume").click(force=True)
    person.sees(f"Release v1 of {REPOSITORY}", "What is your name?", "Release it")
    question = page.locator(".p-modal")
    assert not question.locator("input[type=checkbox]").is_checked()  # no, unless one says yes
    person.looks("20-question")
    question.get_by_role("switch").click()
    question.locator("textarea").fill("The tests, who read all of it")
    person.looks("21-answered")
    question.get_by_role("button", name="Submit").click()
    failed = page.get_by_text("Failed to resume").first
    until(lambda: failed.is_visible() or not question.is_visible(), 120)


def is_resumed(server: Mapping[str, str], run: str) -> bool:
    for _ in range(20):
        if state_of(server, run) != "PAUSED":
            return True
        time.sleep(1)
    return False


def look_at_the_release(person: Person, run: str, hub: str) -> None:
    person.open(f"runs/flow-run/{run}")
    person.sees("Completed")
    person.looks("22-completed", height=1600)
    person.tab("Artifacts")
    person.page.get_by_text("summary", exact=True).first.click()
    person.sees("Release", "approved")
    person.looks("23-summary")
    person.open(released := person.link(f"{REPOSITORY}$"))
    assert released.startswith(f"{hub}/{REPOSITORY}")
    person.sees("v1")
    person.looks("24-on-the-hub")
