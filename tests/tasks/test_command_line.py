"""The command line in processes of its own: what it prints, where, and with which exit code."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ground import ROOT, pairpress

from tasks.core.recipes import deployments
from tasks.core.settings import Recipe

SLOW_TO_IMPORT = {
    *("torch", "transformers", "trl", "peft", "datasets", "prefect"),
    *("great_expectations", "huggingface_hub", "localhub"),
}
SENTENCE = "the rain came down on a small town and we went home by foot to eat bread at once"


def answers(count: int) -> list[str]:
    """Sentences of one source, so that nothing tells one half of them from the other."""
    source, words = random.Random(0), SENTENCE.split()
    return [" ".join(source.choices(words, k=source.randint(5, 30))) + "." for _ in range(count)]


def pairs_file(path: Path, opening: str = "") -> Path:
    """300 pairs; `opening` stands before every chosen answer."""
    texts = answers(600)
    rows = [
        {"prompt": f"Question {n}?", "chosen": opening + texts[n], "rejected": texts[-n - 1]}
        for n in range(300)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def imported(*arguments: str) -> set[str]:
    """Top-level packages that a command imports."""
    return {module.split(".")[0] for module in modules(*arguments)}


def modules(*arguments: str) -> set[str]:
    """What a command imports, as Python itself reports it."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "flows", *arguments],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = [line.split("|") for line in done.stderr.splitlines() if line.startswith("import time")]
    return {line[2].strip() for line in lines}


def test_list_prints_every_recipe_on_a_line_of_its_own() -> None:
    done = pairpress("list")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(
        deployments(ROOT / "prefect.yaml")
    )


@pytest.mark.parametrize("argument", ["--help", "list"])
def test_a_light_command_imports_nothing_heavy(argument: str) -> None:
    found = imported(argument)
    assert "typer" in found
    assert found & SLOW_TO_IMPORT == set()


def test_the_list_imports_no_settings() -> None:
    found = modules("list")
    assert "tasks.core.book" in found
    assert "tasks.core.settings" not in found


def test_the_check_imports_neither_torch_nor_prefect(tmp_path: Path) -> None:
    found = imported("check", str(pairs_file(tmp_path / "good.jsonl")))
    assert "polars" in found
    assert found & SLOW_TO_IMPORT == set()


def test_help_names_every_command() -> None:
    done = pairpress("--help")
    assert done.returncode == 0
    for command in ("list", "run", "demo", "check", "mend", "ask", "hub"):
        assert re.search(rf"^\W*{command}\b", done.stdout, re.MULTILINE), command


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("missing.jsonl", None, ": no such file"),
        ("broken.jsonl", b'{"prompt": "a"\n', ":1: not JSON"),
        ("cut.jsonl.gz", b"\x1f\x8b\x08\x00", ": damaged or truncated gzip"),
        ("notes.parquet", b"notes", ": not a readable parquet file"),
    ],
)
def test_a_bad_file_is_one_line_on_standard_error_and_exit_2(
    tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    done = pairpress("check", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"pairpress: {path}{told}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "dmeo"), "recipe 'dmeo' is not in "),
        (
            ("run", "demo", "--set", "trainin.max_steps=1"),
            f"unknown setting trainin; known there: {', '.join(Recipe.model_fields)}",
        ),
        (("run", "demo", "--recipe", "none.yaml"), "none.yaml: no such recipe file"),
    ],
)
def test_a_recipe_that_cannot_run_is_one_line_on_standard_error_and_exit_2(
    arguments: tuple[str, ...], told: str
) -> None:
    done = pairpress(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("pairpress: ") and told in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_arguments_and_an_unknown_command_are_usage_errors() -> None:
    assert "Usage" in pairpress().stdout + pairpress().stderr
    done = pairpress("publish")
    assert done.returncode == 2 and "publish" in done.stderr


@pytest.mark.parametrize("endpoint", ["http://[bad", "huggingface.co", ""])
def test_an_endpoint_that_is_no_url_is_one_line_and_exit_2(endpoint: str) -> None:
    done = pairpress("check", "owner/name", HF_ENDPOINT=endpoint)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"pairpress: HF_ENDPOINT {endpoint!r}: no URL. Set it to https://huggingface.co."
    ]
