"""The official JavaScript client, unchanged, from a repository's creation to its end.

It is installed by npm into a temporary folder, which CI must be able to do: https://www.npmjs.com/package/@huggingface/hub
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from localhub.client_env import Server

pytestmark = pytest.mark.slow
_SCRIPT = Path(__file__).with_name("javascript")
_SIZE = 3_000_000  # of the weights in release.mjs


@pytest.fixture(scope="module")
def client_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not here: the JavaScript client cannot be tried")
    folder = tmp_path_factory.mktemp("javascript") / "client"
    shutil.copytree(_SCRIPT, folder)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        leave = pytest.fail if os.environ.get("CI") else pytest.skip
        leave(f"npm could not install the JavaScript client: {done.stderr[-500:]}")
    return folder


def test_the_javascript_client_creates_uploads_lists_downloads_and_deletes(
    hub: Server, client_folder: Path
) -> None:
    done = subprocess.run(
        ["node", "release.mjs"],
        cwd=client_folder,
        env={**os.environ, "HUB_URL": hub.url, "HUB_TOKEN": hub.token},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["name"] == "pairpress"
    for kind, prefix in (("model", ""), ("dataset", "/datasets")):
        seen = told[kind]
        page = f"{hub.url}{prefix}/pairpress/javascript-{kind}"
        assert seen["url"] == page
        assert (seen["exists"], seen["existsAfter"]) == (True, False)
        files = {entry["path"]: entry for entry in seen["files"]}
        assert set(files) == {
            ".gitattributes",
            "README.md",
            "again.safetensors",
            "data",
            "data/text with a space.txt",
            "weights.safetensors",
        }
        assert {path for path in files if files[path]["lfs"]} == {
            "again.safetensors",
            "weights.safetensors",
        }
        assert files["data"]["type"] == "directory"
        assert files["weights.safetensors"]["size"] == seen["size"] == _SIZE
        assert all(entry["dated"] for entry in files.values())
        assert seen["text"] == "é, 漢字\n"
        assert seen["same"] and seen["part"]
        assert seen["raw"].startswith("version https://git-lfs.github.com/spec/v1\noid sha256:")
        assert seen["raw"].endswith(f"\nsize {_SIZE}\n")
        assert seen["missing"] is None
        assert seen["paths"] == ["README.md"]
        assert (seen["onBranch"], seen["onMain"]) == (True, False)
        assert seen["info"] is True  # private
        assert seen["left"] == [".gitattributes", "README.md", "weights.safetensors"]
        assert seen["commits"][-2:] == ["regular and large files", "initial commit"]
        assert seen["pullRequest"] == f"{page}/discussions/1"
        assert seen["stale"] == 412
    assert told["model"]["large"] is True  # 40 MiB, in parts
