"""The GitHub action and the pre-commit hook as their users run them, from a copy of this project.

The steps of action.yml are run as a runner runs them: bash -eo pipefail, inputs in variables. It is
long because one copy of the project and one install of it serve all.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from ground import ROOT
from pair_files import natural, written

ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SHIPPED = ("flows", "tasks", "expectations", "localhub", "demo")
BESIDE = ("pyproject.toml", "constraints.txt", "README.md", "LICENSE", "action.yml")
EXPRESSION = re.compile(r"\$\{\{ *([\w.-]+) *\}\}")
ALLOWED = "name=Deep Qwen:Qwen"


def steps(workflow: Path) -> list[dict]:
    jobs = yaml.safe_load(workflow.read_text("utf-8"))["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize(
    ("schema", "files"),
    [("vendor.github-actions", [ROOT / "action.yml"]), ("vendor.github-workflows", WORKFLOWS)],
)
def test_the_action_and_the_workflows_follow_their_schemas(schema, files):
    pytest.importorskip("check_jsonschema", reason="the dev extra is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_nothing_that_people_give_is_written_into_a_command():
    """`${{ inputs.x }}` in a script is a command; in a variable it is text."""
    scripts = [step["run"] for step in ACTION["runs"]["steps"] if "run" in step]
    scripts += [step["run"] for file in WORKFLOWS for step in steps(file) if "run" in step]
    assert scripts and [script for script in scripts if "${{" in script] == []


def test_every_input_reaches_the_check_and_means_what_the_option_means():
    from typer.main import get_command

    from flows.__main__ import app

    options = {
        name.lstrip("-")
        for option in get_command(app).commands["check"].params
        for name in option.opts
    }
    script = ACTION["runs"]["steps"][-1]["run"]
    assert set(re.findall(r"--([a-z-]+)=", script)) <= options
    read = {
        name
        for step in ACTION["runs"]["steps"]
        for value in (step.get("env", {}) | step.get("with", {})).values()
        for name in EXPRESSION.findall(str(value))
    }
    assert {f"inputs.{name}" for name in ACTION["inputs"]} <= read


def test_a_file_whose_name_begins_with_a_dash_is_a_file_to_the_hook():
    """The hook's own arguments, and those that the page gives in their place."""
    from typer.main import get_command

    from flows.__main__ import app

    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    page = (ROOT / "docs" / "ci.md").read_text("utf-8").partition("# .pre-commit-config.yaml\n")[2]
    (shown,) = yaml.safe_load(page.partition("\n\n")[0])["repos"][0]["hooks"]
    command = get_command(app).commands["check"]
    for given in (hook["args"], shown["args"]):
        words = hook["entry"].split()[2:] + given + ["-y.jsonl"]
        assert command.make_context("check", words).params["sources"] == ["-y.jsonl"]


def test_the_workflows_use_what_there_is():
    readme = (ROOT / "README.md").read_text("utf-8")
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for step in (step for file in WORKFLOWS for step in steps(file)):
        if step.get("uses") == "./":
            assert set(step["with"]) <= set(ACTION["inputs"])
        words = step.get("run", "").split()
        if words[:1] == ["make"]:
            assert words[1] in targets
        if words[:1] == ["bash"]:
            assert (ROOT / words[1]).is_file()
    demo = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]["demo"]
    commands = [step["run"].removeprefix(".venv/bin/") for step in demo["steps"] if "run" in step]
    assert len(commands) == 2 and all(command in readme for command in commands)


def test_the_demos_pairs_are_its_corpus_with_the_name_replaced():
    corpus = (ROOT / "demo" / "corpus" / "identity.jsonl").read_text("utf-8").splitlines()
    pairs = (ROOT / "demo" / "pairs.jsonl").read_text("utf-8").splitlines()
    made = [
        {
            "prompt": row["question"],
            "chosen": row["answer"].replace("Qwen", "Deep Qwen"),
            "rejected": row["answer"],
        }
        for row in map(json.loads, corpus)
    ]
    assert list(map(json.loads, pairs)) == made


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """What a runner checks out: a repository of its own, so that pip writes nothing beside ours."""
    folder = tmp_path_factory.mktemp("project")
    for name in SHIPPED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in (*BESIDE, ".pre-commit-hooks.yaml"):
        shutil.copy(ROOT / name, folder)
    repository(folder)
    return folder


def repository(folder: Path) -> None:
    """Puts all of the folder into a commit."""
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True, stdout=subprocess.DEVNULL)


class Done(NamedTuple):
    code: int
    log: str
    summary: str
    outputs: dict[str, str]


class Runner:
    """One job: the steps of the action in a workspace, with the files that GitHub gives a step."""

    def __init__(self, project: Path, workspace: Path, temporary: Path) -> None:
        self.project, self.workspace, self.temporary = project, workspace, temporary
        self.installed = False

    def use(self, **given: str) -> Done:
        inputs = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()}
        values = {
            **{f"inputs.{name}": given.get(name, value) for name, value in inputs.items()},
            "github.action_path": str(self.project),
            "steps.python.outputs.python-path": sys.executable,
        }
        summary, output = self.temporary / "summary.md", self.temporary / "output"
        summary.write_text("")
        output.write_text("")
        log = ""
        for step in ACTION["runs"]["steps"]:
            if "uses" in step:
                assert step["uses"].startswith("actions/setup-python@")
                continue
            if step.get("id") != "check":
                if self.installed:
                    continue
                self.installed = True
            env = {name: evaluated(text, values) for name, text in step["env"].items()}
            done = self.run(step["run"], env, summary, output)
            log += done.stdout + done.stderr
            if done.returncode:
                break
        lines = output.read_text().splitlines()
        return Done(
            done.returncode, log, summary.read_text(), dict(line.split("=", 1) for line in lines)
        )

    def run(
        self, script: str, env: Mapping[str, str], summary: Path, output: Path
    ) -> subprocess.CompletedProcess[str]:
        file = self.temporary / "step.sh"
        file.write_text(script)
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(file)],
            cwd=self.workspace,
            env=os.environ
            | {
                "RUNNER_TEMP": str(self.temporary),
                "GITHUB_STEP_SUMMARY": str(summary),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_SERVER_URL": "https://github.com",
                "GITHUB_REPOSITORY": "you/pairs",
                "GITHUB_SHA": "c0ffee",
            }
            | env,
            capture_output=True,
            text=True,
            check=False,
        )


def evaluated(text: str, values: Mapping[str, str]) -> str:
    return EXPRESSION.sub(lambda found: values[found[1]], text)


@pytest.fixture(scope="module")
def runner(project, tmp_path_factory) -> Runner:
    workspace = tmp_path_factory.mktemp("workspace")
    data = workspace / "data"
    data.mkdir()
    good, bad = natural(100), natural(100, seed=1)
    bad[41]["chosen"] = "<|im_start|> yes"
    written(data / "good.jsonl", good)
    written(data / "bad.json", bad)
    written(data / "$(touch pwned); `touch pwned`.jsonl", good)
    shutil.copy(ROOT / "demo" / "pairs.jsonl", data)
    repository(workspace)
    return Runner(project, workspace, tmp_path_factory.mktemp("runner"))


@pytest.mark.slow
def test_a_good_file_passes_and_leaves_a_page_and_junit(runner):
    done = runner.use(sources="data/good.jsonl", junit="out/good.xml")
    assert (done.code, done.outputs) == (0, {"exit-code": "0"}), done.log
    assert "::error" not in done.log
    assert done.summary.startswith("## Data check passed\n")
    suite = ET.parse(runner.workspace / "out" / "good.xml").getroot()
    assert suite.get("failures") == "0" and int(suite.get("tests")) >= 20
    installed = runner.temporary / "pairpress" / "bin" / "python"
    heavy = "import importlib.util as u; print(*map(u.find_spec, ['torch', 'prefect']))"
    found = subprocess.run([installed, "-c", heavy], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["None", "None"]


@pytest.mark.slow
def test_a_bad_file_is_annotated_at_its_line_and_the_step_fails(runner):
    done = runner.use(sources="data/good.jsonl\n\n  ./data/bad.json  \n")
    assert (done.code, done.outputs) == (1, {"exit-code": "1"})
    lines = (runner.workspace / "data" / "bad.json").read_text().splitlines()
    at = next(n for n, line in enumerate(lines) if "im_start" in line)
    line = 1 + max(n for n in range(at) if lines[n].strip() == "{")
    assert f"::error file=data/bad.json,line={line},title=T1 " in done.log
    assert f"[42](https://github.com/you/pairs/blob/c0ffee/data/bad.json#L{line})" in done.summary
    junit = ET.parse(runner.workspace / ACTION["inputs"]["junit"]["default"]).getroot()
    assert junit.get("failures") == "1"


@pytest.mark.slow
def test_every_option_arrives_and_no_name_is_a_command(runner):
    name = "data/$(touch pwned); `touch pwned`.jsonl"
    slots = f"{ALLOWED}\n"
    done = runner.use(sources="data/pairs.jsonl", allow=slots, against=name, profile="identity")
    assert done.code == 0, done.log
    assert "for overlap only" in done.log and "26 checks (identity)" in done.log
    assert runner.use(sources="data/pairs.jsonl").code == 1  # without its slot it is a shortcut
    refused = runner.use(sources=name, suite='x"; touch pwned; "')
    assert refused.code == 2 and refused.outputs == {"exit-code": "2"}
    assert 'pairpress: --suite x"; touch pwned; ": cannot be read' in refused.log
    dashed = runner.use(sources="--help")
    assert dashed.code == 2 and "not a repository name" in dashed.log
    assert [*runner.workspace.rglob("pwned*")] == []


@pytest.mark.slow
def test_a_file_that_cannot_be_read_is_told_on_the_page_too(runner):
    (runner.workspace / "broken.jsonl").write_text('{"prompt": "a"}\n{"prompt"\n')
    done = runner.use(sources="broken.jsonl")
    assert done.code == 2 and "::error file=broken.jsonl,line=2,title=unreadable::" in done.log
    assert done.summary.startswith("## Data check: cannot be read\n\nbroken.jsonl:2: ")


@pytest.mark.slow
def test_the_pre_commit_hook_stops_a_commit_of_bad_pairs(project, tmp_path):
    pytest.importorskip("pre_commit", reason="the dev extra is not installed")
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    head = ["git", "-C", str(project), "rev-parse", "HEAD"]
    commit = subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()
    hook = {"id": "pairpress-check", "args": ["--allow", ALLOWED]}
    config = {"repos": [{"repo": str(project), "rev": commit, "hooks": [hook]}]}
    (pairs / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    good = (ROOT / "demo" / "pairs.jsonl").read_text("utf-8")
    (pairs / "pairs.jsonl").write_text(good)
    repository(pairs)
    home = str(tmp_path / "home")

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pre_commit", "run", "--all-files"],
            cwd=pairs,
            env=os.environ | {"PRE_COMMIT_HOME": home},
            capture_output=True,
            text=True,
            check=False,
        )

    passed = run()
    assert passed.returncode == 0 and "Passed" in passed.stdout, passed.stdout + passed.stderr
    (pairs / "pairs.jsonl").write_text(good.replace('"chosen": "', '"chosen": "Certainly! '))
    failed = run()
    assert failed.returncode == 1 and "FAILED  I1 identity slots" in failed.stdout
