"""The `hf` command line, as a person types it, against a running localhub."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localhub.client_env import Server, client_environment

Hf = Callable[..., str]
pytestmark = pytest.mark.slow  # thirty processes, a second or two each


@pytest.fixture
def hf(hub: Server, tmp_path: Path) -> Hf:
    def typed(*arguments: str) -> str:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("hf")), *arguments],
            env={**os.environ, **client_environment(hub.url, hub.token, tmp_path / "home")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    return typed


def test_a_folder_is_uploaded_listed_and_downloaded(hub: Server, hf: Hf, tmp_path: Path) -> None:
    repo, weights = "pairpress/typed", os.urandom(20_000)
    (tmp_path / "up" / "sub").mkdir(parents=True)
    (tmp_path / "up" / "README.md").write_text("---\nlicense: mit\n---\n# Typed\n")
    (tmp_path / "up" / "sub" / "m.safetensors").write_bytes(weights)

    assert "pairpress" in hf("auth", "whoami")
    assert repo in hf("repos", "create", "typed", "--private")
    assert "/commit/" in hf("upload", "typed", "up", ".", "--commit-message", "first")
    assert hf("download", repo, "--local-dir", "down")
    assert (tmp_path / "down" / "sub" / "m.safetensors").read_bytes() == weights
    hf("cache", "verify", repo, "--local-dir", "down")  # compares each file's checksum

    assert "first" not in hf("repos", "tag", "create", repo, "v1", "-m", "one")
    hf("repos", "branch", "create", repo, "dev")
    hf("repos", "branch", "delete", repo, "dev")
    assert "refs/tags/v1" in hf("repos", "tag", "list", repo)
    hf("repos", "tag", "delete", repo, "v1", "--yes")
    assert "v1" not in hf("repos", "tag", "list", repo)

    listed = json.loads(hf("models", "ls", "--search", "typed", "--format", "json"))
    assert [(model["id"], model["private"]) for model in listed] == [(repo, True)]
    assert repo in hf("repos", "list", "--limit", "0", "--format", "json")
    assert json.loads(hf("models", "info", repo))["tags"] == ["license:mit"]
    assert "# Typed" in hf("models", "card", repo)
    hf("repos", "duplicate", repo, "pairpress/typed-twin", "--private")
    hf("repos", "delete-files", repo, "sub/*")
    hf("download", repo, "--local-dir", "less")
    assert not (tmp_path / "less" / "sub").exists()
    hf("download", "pairpress/typed-twin", "sub/m.safetensors", "--local-dir", "twin")
    assert (tmp_path / "twin" / "sub" / "m.safetensors").read_bytes() == weights

    hf("repos", "settings", repo, "--public")
    hf("repos", "move", repo, "pairpress/typed-moved")
    listed = json.loads(hf("models", "ls", "--search", "typed-moved", "--format", "json"))
    assert [(model["id"], model["private"]) for model in listed] == [
        ("pairpress/typed-moved", False)
    ]
    hf("repos", "delete", "pairpress/typed-moved", "--yes")
    assert hf("models", "ls", "--search", "typed-moved", "--format", "json").strip() == "[]"


def test_a_pull_request_is_made_read_and_merged(hf: Hf, tmp_path: Path) -> None:
    repo = "pairpress/typed-rows"
    (tmp_path / "a.txt").write_text("hi\n")
    hf("repos", "create", repo, "--type", "dataset")
    hf("upload", repo, "a.txt", "a.txt", "--type", "dataset", "--create-pr")

    listed = hf("discussions", "list", repo, "--type", "dataset", "--format", "json")
    assert [(talk["num"], talk["status"]) for talk in json.loads(listed)] == [(1, "open")]
    assert "+hi" in hf("discussions", "diff", repo, "1", "--type", "dataset")
    hf("discussions", "comment", repo, "1", "--body", "looks right", "--type", "dataset")
    hf("discussions", "close", repo, "1", "--yes", "--type", "dataset")
    hf("discussions", "reopen", repo, "1", "--yes", "--type", "dataset")
    hf("discussions", "rename", repo, "1", "One more file", "--type", "dataset")
    hf("discussions", "merge", repo, "1", "--yes", "--type", "dataset")

    told = json.loads(hf("discussions", "info", repo, "1", "--type", "dataset"))
    assert (told["status"], told["title"]) == ("merged", "One more file")
    assert "looks right" in json.dumps(told["events"])
    hf("download", repo, "a.txt", "--type", "dataset", "--local-dir", "down")
    assert (tmp_path / "down" / "a.txt").read_text() == "hi\n"
