"""Releases of a few kilobytes, as finished stages leave them, and what the Hub holds of them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import httpx
from huggingface_hub import CommitOperationAdd, HfApi

from localhub.client_env import Server
from tasks.core import trees
from tasks.core.promoting import promote_all, remove_branches
from tasks.core.publish import Repository, preflight, repositories
from tasks.core.staging import Placed, stage

PARTS = ("dataset", "adapter", "model")


def release_folder(root: Path, content: str, version: str = "v1") -> Path:
    """dataset/, adapter/ and model/, each with a large file, small ones and the same manifest."""

    def noise(part: str) -> bytes:
        return b"".join(sha256(f"{content} {part} {k}".encode()).digest() for k in range(64))

    files = {
        "dataset/data/train.parquet": noise("dataset"),
        "adapter/adapter_model.safetensors": noise("adapter"),
        "adapter/adapter_config.json": b'{"peft_type": "LORA"}',
        "model/model.safetensors": noise("model"),
        "model/config.json": b'{"model_type": "qwen2"}',
        "model/tokenizer.json": b"{}",
    }
    for part in PARTS:
        files[f"{part}/README.md"] = f"---\nlicense: mit\n---\n# {content}\n".encode()
    folder = root / f"{content}-{version}"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "done.json").write_text("{}")
    write_manifest(folder, content, version)
    return folder


def write_manifest(folder: Path, content: str, version: str = "v1") -> None:
    """The same in each part; again after a test has added a file or taken one away."""
    listed = {
        part: {
            path.relative_to(folder / part).as_posix(): {"size": path.stat().st_size}
            for path in sorted((folder / part).rglob("*"))
            if path.is_file() and path.name != "release.json"
        }
        for part in PARTS
    }
    manifest = {"version": version, "content": content, "repositories": {}, "files": listed}
    for part in PARTS:
        (folder / part / "release.json").write_text(json.dumps(manifest))


def next_folder(root: Path, content: str) -> Path:
    """A v2 of changed weights, with a file that v1 lacks and without one that it has."""
    folder = release_folder(root, content, "v2")
    (folder / "model" / "tokenizer.json").rename(folder / "model" / "vocab.json")
    write_manifest(folder, content, "v2")
    return folder


def messages(version: str) -> dict[str, str]:
    return {part: f"Release {version}: {part}" for part in PARTS}


def staged(name: str, folder: Path, content: str, version: str = "v1") -> list[Placed]:
    return stage(repositories(name), folder, version, content, False, messages(version))


def publish(name: str, folder: Path, content: str, version: str = "v1") -> list[Repository]:
    """The publishing steps of a run, in its order."""
    preflight(name)
    placed = staged(name, folder, content, version)
    released = promote_all(placed, version, messages(version))
    remove_branches(released, version)
    return released


def standing(name: str) -> dict[str, tuple[dict[str, str], dict[str, str], dict[str, str]]]:
    """Of each repository that exists: contents of main by path, tags and branches by commit."""
    found = {}
    for target in repositories(name):
        if HfApi().repo_exists(target.repo, repo_type=target.repo_type):
            refs = trees.refs_of(target)
            tree = trees.tree_of(target, refs.branches["main"])
            contents = {path: trees.content_of(entry) for path, entry in tree.items()}
            found[target.part] = (contents, refs.tags, refs.branches)
    return found


def titles(target: Repository, revision: str = "main") -> list[str]:
    return [one.title for one in trees.history_of(target, revision)]


def require_complete(name: str, folder: Path, version: str) -> None:
    """Every file on main and under the tag, no branch left, and not one commit too many."""
    for target in repositories(name):
        refs = trees.refs_of(target)
        files = trees.files_below(folder / target.part)
        assert trees.holds(target, refs.branches["main"], files), target.part
        assert trees.holds(target, refs.tags[version], files), target.part
        assert set(refs.branches) == {"main"}
        assert titles(target).count(f"Release {version}: {target.part}") == 1


def edit_card(target: Repository, text: str) -> str:
    """What a person does on the Hub's page; returns the new head of main."""
    return put(target, "README.md", text.encode())


def put(target: Repository, path: str, data: bytes) -> str:
    operations = [CommitOperationAdd(path, data)]
    done = HfApi().create_commit(
        target.repo, operations, commit_message="by hand", repo_type=target.repo_type
    )
    return str(done.oid)


class Switch:
    """localhub's fault switch, and its log of requests."""

    def __init__(self, server: Server) -> None:
        headers = {"Authorization": f"Bearer {server.token}"}
        self._http = httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=30)

    def set(self, *faults: dict[str, object]) -> None:
        self._http.post("/_faults", json=list(faults)).raise_for_status()

    def clear(self) -> None:
        self._http.delete("/_faults").raise_for_status()

    def log(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = self._http.get("/_faults").json()["requests"]
        return found

    def count(self, method: str, path: str = "", status: int | None = None) -> int:
        return sum(
            one["method"] == method and path in str(one["path"]) and status in (None, one["status"])
            for one in self.log()
        )

    @contextmanager
    def counted(self) -> Iterator["Switch"]:
        self.clear()
        yield self
        self.clear()
