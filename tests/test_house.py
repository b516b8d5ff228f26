"""The directions of the house: who may import whom, what stays light, and what stays small."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ground import ROOT

PACKAGES = ("flows", "tasks", "expectations", "localhub", "demo")
MAY_IMPORT = {
    "flows": {"flows", "tasks", "tasks.core", "expectations.measures"},
    "tasks": {"tasks", "tasks.core", "expectations.measures"},
    "tasks.core": {"tasks.core", "expectations.measures"},
    "expectations": {"expectations", "expectations.measures"},
    "expectations.measures": {"expectations.measures"},
    "localhub": {"localhub"},
    "demo": {"demo", "tasks.core"},
}
ALSO = {
    "tasks/reporting.py": "expectations",  # the one place where the suite meets the pipeline
    "tasks/seed.py": "demo",  # puts the demo's own material on the Hub
    "flows/__main__.py": "localhub",  # `--local` and `pairpress hub`
}
HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "great_expectations", "prefect"}

LONGEST = 300
LONGEST_FLOW_OR_TASK = 80
LONGER = {
    "flows/__main__.py": "the command line: all commands in one file, as its help shows them",
    "flows/check_pairs.py": "a command that runs without Prefect, so it has no tasks to call",
    "flows/print_release.py": "a page of text that a person reads",
    "flows/start_all.py": "one story: what starts in which order, what goes wrong, the way back",
    "flows/rehearse_recipes.py": "a page of text that a person reads",
    "flows/release_model.py": "every section of a recipe is a parameter, and each takes its lines",
    "tasks/gate.py": "the story of a decision: sentences, table of the sweep, both answers",
    "tasks/load.py": "local files and Hub data sets, pinned and shown in one place",
    "tasks/train.py": "the reference and the training that reads it, keyed side by side",
    "tasks/staged.py": "what all tasks share",
    "tasks/story.py": "the pages of a run, the one that lists them, and the bars of long stages",
    "tasks/approve.py": "one question: what asks, waits, hears and withdraws it",
    "tasks/alerts.py": "how a run ended, in words, whichever way: one story",
    "tasks/publish.py": "all tasks around a release, which share their retries",
    "tasks/preflight.py": "all that is tried before anything costs, in its order",
    "tasks/record.py": "the record of a release beside that of nothing new",
    "tasks/curate.py": "the two ways of curation side by side",
    "tasks/references.py": "where a flow by itself starts from, and what it refuses there",
    "flows/run_alone.py": "the parts of a release by themselves, side by side",
    "tasks/set_aside.py": "all that people are told of rows that went no further",
    "tasks/evaluate.py": "before and after side by side, so that both ask the same",
}
LOCAL_PATH = re.compile(r"(?<![\w.])(/home/|/Users/|/root\b|/tmp/|/work/|/mnt/|[A-Z]:\\\\)")
EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\ufe0f]")


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found, folders
    return found


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def layer(name: str) -> str:
    """`tasks.core.load` -> `tasks.core`; `flows/x.py` counts like `flows.x`."""
    parts = name.removesuffix(".py").replace("/", ".").split(".")
    two = ".".join(parts[:2])
    return two if two in MAY_IMPORT else parts[0]


def imports(tree: ast.AST, inside_functions: bool = True) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported; `from a import b` is `a.b`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{prefix}.{alias.name}") for alias in node.names)
        elif inside_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(node, inside_functions)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def test_imports_go_down_the_house_only() -> None:
    wrong = []
    for path in sources(*PACKAGES):
        may = MAY_IMPORT[layer(place(path))] | {ALSO.get(place(path), "")}
        for line, name in imports(parsed(path)):
            if name.split(".")[0] in (*PACKAGES, "tests") and layer(name) not in may:
                wrong.append(f"{place(path)}:{line} imports {name}")
    assert wrong == []


def test_every_import_names_its_package_in_full() -> None:
    """The digest of a stage's source follows names; it would not see a relative import."""
    relative = [
        f"{place(path)}:{line}"
        for path in sources(*PACKAGES)
        for line, name in imports(parsed(path))
        if name.startswith(".")
    ]
    assert relative == []


def test_prefect_is_in_flows_and_tasks_only() -> None:
    elsewhere = [
        f"{place(path)}:{line}"
        for path in sources("tasks/core", "expectations", "localhub", "demo")
        for line, name in imports(parsed(path))
        if name.split(".")[0] == "prefect"
    ]
    assert elsewhere == []


@pytest.mark.parametrize("folder", ["tasks/core", "expectations/measures", "localhub"])
def test_what_is_slow_to_import_is_imported_where_it_is_used(folder: str) -> None:
    at_once = [
        f"{place(path)}:{line} imports {name}"
        for path in sources(folder)
        for line, name in imports(parsed(path), inside_functions=False)
        if name.split(".")[0] in HEAVY
    ]
    assert at_once == []


def test_every_init_file_is_empty() -> None:
    inits = [path for path in sources(*PACKAGES) if path.name == "__init__.py"]
    folders = {path.parent for path in sources(*PACKAGES)}
    assert {path.parent for path in inits} == folders
    assert [place(path) for path in inits if path.stat().st_size] == []


def test_tests_are_no_package() -> None:
    assert [place(path) for path in (ROOT / "tests").rglob("__init__.py")] == []


def test_a_long_file_says_why_it_is_long() -> None:
    silent = []
    for path in sources(*PACKAGES, "tests"):
        lines = path.read_text("utf-8").count("\n")
        why = re.search(r"\blong\b|\blines\b", ast.get_docstring(parsed(path)) or "")
        if lines > LONGEST and not why:
            silent.append(f"{place(path)}: {lines} lines")
    assert silent == []


def test_flows_and_tasks_stay_short() -> None:
    long = []
    for path in [*(ROOT / "flows").glob("*.py"), *(ROOT / "tasks").glob("*.py")]:
        lines = path.read_text("utf-8").count("\n")
        if lines > LONGEST_FLOW_OR_TASK and place(path) not in LONGER:
            long.append(f"{place(path)}: {lines} lines")
    assert long == []
    assert all((ROOT / name).is_file() for name in LONGER)


def test_every_module_says_what_it_is_for() -> None:
    modules = [path for path in sources(*PACKAGES) if path.name != "__init__.py"]
    assert [place(path) for path in modules if not ast.get_docstring(parsed(path))] == []


def texts() -> list[Path]:
    """What is shipped and read by people: code, templates, recipes, corpus, pages."""
    endings = {".py", ".j2", ".yaml", ".toml", ".md", ".txt", ".jsonl"}
    inside = [path for package in PACKAGES for path in (ROOT / package).rglob("*")]
    beside = [path for path in ROOT.iterdir() if path.is_file()]
    return [path for path in sorted(inside + beside) if path.suffix in endings]


@pytest.mark.parametrize(("what", "pattern"), [("a local path", LOCAL_PATH), ("an emoji", EMOJI)])
def test_nothing_that_is_shipped_holds_it(what: str, pattern: re.Pattern[str]) -> None:
    found = [
        f"{place(path)}:{number} holds {what}: {line.strip()[:80]}"
        for path in texts()
        for number, line in enumerate(path.read_text("utf-8").split("\n"), start=1)
        if pattern.search(line)
    ]
    assert found == []


def test_the_crash_automation_watches_every_flow_and_no_other() -> None:
    written = yaml.safe_load((ROOT / "deploy/automations/crashed.yaml").read_text("utf-8"))
    named = re.findall(
        r'@flow\(\s*name="([a-z-]+)"', "".join(p.read_text("utf-8") for p in sources("flows"))
    )
    assert set(named) == set(written["trigger"]["match_related"]["prefect.resource.name"])
