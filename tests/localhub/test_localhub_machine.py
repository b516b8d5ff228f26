"""What a localhub takes of the machine it runs on: seconds to start, memory, room on the disk."""

import base64
import hashlib
import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from localhub.client_env import Server, running

Connect = Callable[..., httpx.Client]
ROOT = Path(__file__).parents[2]


def batch(client: httpx.Client, repo: str, content: bytes, *transfers: str) -> dict[str, Any]:
    oid = hashlib.sha256(content).hexdigest()
    body = {
        "operation": "upload",
        "transfers": transfers,
        "objects": [{"oid": oid, "size": len(content)}],
    }
    reply = client.post(f"/{repo}.git/info/lfs/objects/batch", json=body).raise_for_status()
    return reply.json()["objects"][0]["actions"]


def test_it_answers_within_a_second_of_being_started(tmp_path: Path) -> None:
    begun = time.monotonic()
    command = [sys.executable, "-m", "localhub", "--root", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    took = time.monotonic() - begun
    process.terminate()
    process.wait(10)
    assert line.startswith("localhub: http://127.0.0.1:")
    assert took < (1 if len(os.sched_getaffinity(0)) > 2 * os.getloadavg()[0] else 5)


def test_four_that_begin_in_one_moment_on_a_new_folder_each_have_a_server(tmp_path: Path) -> None:
    together = threading.Barrier(4, timeout=60)

    def begin(_: int) -> str:
        together.wait()
        with running(tmp_path / "hub") as server:
            reply = httpx.get(f"{server.url}/api/models", trust_env=False)
            together.wait()  # while all of them run
            return f"{reply.status_code} {server.url}"

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(begin, range(4)))
    assert len(found) == 4
    assert all(one.startswith("200 http://127.0.0.1:") for one in found)


def limited() -> None:
    """For the process to be: its kernel lets no file of it grow over 1 MiB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))


@pytest.fixture(params=["limit of a file", "full disk"])
def small(
    request: pytest.FixtureRequest, tmp_path: Path, connect: Connect
) -> Iterator[tuple[httpx.Client, Path]]:
    """A localhub whose folder takes little, and the folder as that process sees it."""
    command = [sys.executable, "-m", "localhub", "--root", str(tmp_path)]
    begin = None
    if request.param == "full disk":
        mount = f"mount -t tmpfs -o size=8m none '{tmp_path}'"
        if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"]).returncode:
            pytest.skip("no mounts of its own for a process here: unshare -rm is refused")
        command = ["unshare", "-rm", "sh", "-c", f"{mount} && exec {shlex.join(command)}"]
    else:
        begin = limited
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=begin
    )
    assert process.stdout is not None
    url = process.stdout.readline().split()[1]
    folder = Path(f"/proc/{process.pid}/root{tmp_path}")
    token = (folder / "token").read_text()
    with connect(Server(url, token, tmp_path), token) as client:
        yield client, folder
    process.send_signal(signal.SIGTERM)
    process.wait(10)


def commit(client: httpx.Client, content: bytes) -> httpx.Response:
    text = base64.b64encode(content).decode()
    value = {"path": "a.txt", "content": text, "encoding": "base64"}
    entries = [{"key": "header", "value": {"summary": "s"}}, {"key": "file", "value": value}]
    body = "\n".join(json.dumps(entry) for entry in entries)
    return client.post("/api/models/pairpress/m/commit/main", content=body)


def test_what_the_disk_does_not_take_is_answered_507_and_leaves_nothing(
    small: tuple[httpx.Client, Path],
) -> None:
    client, folder = small
    client.post("/api/repos/create", json={"name": "m"}).raise_for_status()
    before = sorted(path for path in folder.rglob("*") if path.is_file())
    content = os.urandom(40 * 2**20)
    head = client.get("/api/models/pairpress/m").json()["sha"]

    href = batch(client, "pairpress/m", content)["upload"]["href"]
    refused = client.put(href, content=content)
    assert refused.status_code == 507
    assert "disk" in refused.json()["error"]
    upload = batch(client, "pairpress/m", content, "basic", "multipart")["upload"]
    part = content[: int(upload["header"]["chunk_size"])]
    assert client.put(upload["header"]["1"], content=part).status_code == 507
    assert commit(client, content[: 9 * 2**20]).status_code == 507

    assert client.get("/api/models/pairpress/m").json()["sha"] == head
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == before
    fits = content[:1_000_000]
    assert commit(client, fits).is_success
    assert client.get("/pairpress/m/resolve/main/a.txt").content == fits


def peak_of(pid: int) -> int:
    """Bytes: the most memory the process ever held."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.slow
@pytest.mark.parametrize("transfers", [("basic",), ("basic", "multipart")])
def test_a_file_of_2_gib_goes_up_and_down_in_less_than_200_mib_of_memory(
    tmp_path: Path, connect: Connect, transfers: tuple[str, ...]
) -> None:
    block, blocks = os.urandom(2**20), 2048
    digest = hashlib.sha256()
    for _ in range(blocks):
        digest.update(block)
    oid, size = digest.hexdigest(), blocks * len(block)
    with running(tmp_path) as server, connect(server, server.token) as client:
        client.post("/api/repos/create", json={"name": "m"}).raise_for_status()
        body = {
            "operation": "upload",
            "transfers": transfers,
            "objects": [{"oid": oid, "size": size}],
        }
        reply = client.post("/pairpress/m.git/info/lfs/objects/batch", json=body).json()
        upload = reply["objects"][0]["actions"]["upload"]
        if "header" in upload:
            part = int(upload["header"].pop("chunk_size")) // len(block)
            etags = [
                client.put(url, content=(block for _ in range(part))).headers["ETag"]
                for url in upload["header"].values()
            ]
            told = [{"partNumber": n + 1, "etag": etag} for n, etag in enumerate(etags)]
            reply = client.post(upload["href"], json={"oid": oid, "parts": told}, timeout=120)
        else:
            content = (block for _ in range(blocks))
            reply = client.put(upload["href"], content=content, timeout=120)
        assert reply.is_success, reply.text
        entries = [
            {"key": "header", "value": {"summary": "large"}},
            {"key": "lfsFile", "value": {"path": "m.bin", "algo": "sha256", "oid": oid}},
        ]
        body = "\n".join(json.dumps(entry) for entry in entries)
        client.post("/api/models/pairpress/m/commit/main", content=body).raise_for_status()
        received = hashlib.sha256()
        with client.stream("GET", "/pairpress/m/resolve/main/m.bin") as download:
            for chunk in download.iter_bytes(2**20):
                received.update(chunk)
        assert received.hexdigest() == oid
        peak = peak_of(json.loads((tmp_path / "server.json").read_text())["pid"])
    assert peak < 200 * 2**20, f"{peak / 2**20:.0f} MiB"
    print(f"{transfers}: {peak / 2**20:.0f} MiB")
