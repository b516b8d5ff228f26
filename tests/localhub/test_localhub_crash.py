"""kill -9, restarts, and two servers on one folder."""

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from localhub.client_env import Server, running

Connect = Callable[..., httpx.Client]


def start(root: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "localhub", "--root", str(root), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline()


def commit_files(
    client: httpx.Client,
    name: str,
    first: int,
    acknowledged: dict[str, tuple[str, bytes]],
    refs: dict[str, str],
) -> None:
    """Commits one regular and one large file after the other, until the server is gone.

    Each commit gets a tag, a branch or a pull request, in turn; `refs` holds the acknowledged ones.
    """
    number = first
    while True:
        number += 1
        path, content = f"{name}/{number}.txt", f"{name} {number}".encode()
        large = os.urandom(300_000)
        oid = hashlib.sha256(large).hexdigest()
        wanted = {"operation": "upload", "objects": [{"oid": oid, "size": len(large)}]}
        regular = {
            "path": path,
            "content": base64.b64encode(content).decode(),
            "encoding": "base64",
        }
        pointer = {"path": f"{path}.bin", "algo": "sha256", "oid": oid, "size": len(large)}
        entries = (("header", {"summary": path}), ("file", regular), ("lfsFile", pointer))
        body = "\n".join(json.dumps({"key": key, "value": value}) for key, value in entries)
        try:
            reply = client.post("/pairpress/m.git/info/lfs/objects/batch", json=wanted)
            client.put(reply.json()["objects"][0]["actions"]["upload"]["href"], content=large)
            made = client.post("/api/models/pairpress/m/commit/main", content=body)
            assert made.is_success, made.text
            commit = made.json()["commitOid"]
            acknowledged[path] = (commit, content)
            acknowledged[f"{path}.bin"] = (commit, large)
            ref, target = add_ref(client, f"{name}-{number}", commit, number % 3)
            refs[ref] = target
        except httpx.TransportError:
            return


def add_ref(client: httpx.Client, name: str, commit: str, sort: int) -> tuple[str, str]:
    """The name of the new ref, once acknowledged, and the commit it has to point to."""
    repo = "/api/models/pairpress/m"
    if sort == 0:
        client.post(f"{repo}/tag/{commit}", json={"tag": name}).raise_for_status()
        return f"refs/tags/{name}", commit
    if sort == 1:
        client.post(f"{repo}/branch/{name}", json={"startingPoint": commit}).raise_for_status()
        return f"refs/heads/{name}", commit
    header = {"summary": f"propose {name}", "parentCommit": commit}
    value = {"path": f"proposed/{name}", "content": "eA==", "encoding": "base64"}
    entries = ({"key": "header", "value": header}, {"key": "file", "value": value})
    body = "\n".join(json.dumps(entry) for entry in entries)
    made = client.post(f"{repo}/commit/main?create_pr=1", content=body).raise_for_status().json()
    number = made["pullRequestUrl"].rpartition("/")[2]
    return f"refs/pr/{number}", made["commitOid"]


def test_kill_9_in_the_middle_of_commits_loses_and_tears_nothing(
    tmp_path: Path, connect: Connect
) -> None:
    acknowledged: dict[str, tuple[str, bytes]] = {}
    refs: dict[str, str] = {}
    urls = set()
    for turn in range(3):
        with running(tmp_path) as server:
            urls.add(server.url)
            client = connect(server, server.token)
            client.post("/api/repos/create", json={"name": "m"})
            writers = [
                threading.Thread(
                    target=commit_files,
                    args=(client, f"w{number}", turn * 1000, acknowledged, refs),
                )
                for number in range(3)
            ]
            for writer in writers:
                writer.start()
            time.sleep(0.5 + 0.13 * turn)
            os.kill(json.loads((tmp_path / "server.json").read_text())["pid"], signal.SIGKILL)
            for writer in writers:
                writer.join()
    assert len(acknowledged) >= 10  # the kills hit writers that were at work
    assert {ref.split("/")[1] for ref in refs} == {"tags", "heads", "pr"}

    with running(tmp_path) as server, connect(server, server.token) as client:
        files = client.get("/api/models/pairpress/m/tree/main?recursive=true").json()
        present = {entry["path"] for entry in files}
        commits: list[str] = []
        url = "/api/models/pairpress/m/commits/main"
        while url:
            reply = client.get(url)
            commits += [entry["id"] for entry in reply.json()]
            url = reply.links["next"]["url"] if "next" in reply.links else ""
        assert {made for made, _ in acknowledged.values()} <= set(commits)
        assert acknowledged.keys() <= present
        listed = client.get("/api/models/pairpress/m/refs?include_prs=1").json()
        kept = {
            ref["ref"]: ref["targetCommit"]
            for sort in ("branches", "tags", "pullRequests")
            for ref in listed[sort]
        }
        assert refs.items() <= kept.items()
        for number in (ref.rpartition("/")[2] for ref in refs if ref.startswith("refs/pr/")):
            talk = client.get(f"/api/models/pairpress/m/discussions/{number}").json()
            assert [event["type"] for event in talk["events"]] == ["comment", "commit"]
        for path, (_, content) in acknowledged.items():
            assert client.get(f"/pairpress/m/resolve/main/{path}").content == content
    for blob in (tmp_path / "blobs").glob("*/*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.parent.name + blob.name
    assert len(urls) == 1, "the address stays the same from run to run"


def test_two_servers_on_one_folder_lose_no_commit(tmp_path: Path, connect: Connect) -> None:
    with running(tmp_path) as one:
        second, line = start(tmp_path)
        try:
            two = Server(line.split()[1], one.token, tmp_path)
            assert two.url != one.url
            clients = [connect(server, one.token) for server in (one, two)]
            clients[0].post("/api/repos/create", json={"name": "m"}).raise_for_status()

            def write(client: httpx.Client, name: str) -> None:
                for number in range(15):
                    value = {"path": f"{name}/{number}", "content": "eA==", "encoding": "base64"}
                    lines = [
                        {"key": "header", "value": {"summary": f"{name} {number}"}},
                        {"key": "file", "value": value},
                    ]
                    body = "\n".join(json.dumps(line) for line in lines)
                    reply = client.post("/api/models/pairpress/m/commit/main", content=body)
                    reply.raise_for_status()

            writers = [
                threading.Thread(target=write, args=(client, name))
                for client, name in zip(clients, "ab", strict=True)
            ]
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join()
            for client in clients:
                files = client.get("/api/models/pairpress/m/tree/main?recursive=true").json()
                assert sum(entry["type"] == "file" for entry in files) == 31
                assert len(client.get("/api/models/pairpress/m/commits/main").json()) == 31
        finally:
            second.terminate()
            assert second.wait(10) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_says_where_it_is_and_stops_cleanly(
    tmp_path: Path, connect: Connect, number: signal.Signals
) -> None:
    process, line = start(tmp_path)
    state = json.loads((tmp_path / "server.json").read_text())
    assert line == f"localhub: {state['url']} (store {tmp_path})\n"
    assert state["pid"] == process.pid
    token = (tmp_path / "token").read_text()
    open_connection = connect(Server(state["url"], token, tmp_path), token)
    assert open_connection.get("/api/whoami-v2").json()["name"] == "pairpress"

    process.send_signal(number)

    assert process.wait(10) == 0
    assert json.loads((tmp_path / "server.json").read_text()) == state | {"pid": None}
    with running(tmp_path) as again:
        assert (again.url, again.token) == (state["url"], token)
        with running(tmp_path) as another:  # each holds its own, and neither stops the other's
            assert another.url != again.url and another.token == token
        assert httpx.get(f"{again.url}/", trust_env=False).is_success


def test_a_server_that_stands_by_itself_is_shared_and_not_stopped(tmp_path: Path) -> None:
    process, _ = start(tmp_path)
    with running(tmp_path) as shared:
        assert json.loads((tmp_path / "server.json").read_text())["pid"] == process.pid
    assert httpx.get(f"{shared.url}/", trust_env=False).is_success
    process.terminate()
    assert process.wait(10) == 0


def test_a_killed_holder_leaves_no_server_behind(tmp_path: Path) -> None:
    hold = "import sys, pathlib, time; from localhub.client_env import running\n"
    hold += f"with running(pathlib.Path({str(tmp_path)!r})) as s: print(s.url); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-u", "-c", hold], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    url = holder.stdout.readline().strip()
    assert httpx.get(f"{url}/", trust_env=False).is_success
    holder.kill()
    deadline = time.monotonic() + 15
    while json.loads((tmp_path / "server.json").read_text())["pid"] is not None:
        assert time.monotonic() < deadline, "the server outlived its holder"
        time.sleep(0.1)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    user = {"name": "x", "orgs": [], "role": "owner"}
    for key, said in (("0" * 64, "the role of 'x' is 'owner'"), ("hf_secret", "sha256 is kept")):
        (tmp_path / "tokens.json").write_text(json.dumps({key: user}))
        with pytest.raises(RuntimeError, match=said) as refused, running(tmp_path):
            pass
        assert "Traceback" not in str(refused.value)
        assert "hf_secret" not in str(refused.value)


def test_readers_of_a_repository_that_is_deleted_and_moved_meanwhile_see_all_of_it_or_none(
    tmp_path: Path, connect: Connect
) -> None:
    seen: set[int] = set()
    lists: set[int] = set()
    listing = ("/api/models", "/api/settings/repositories", "/")
    over = threading.Event()
    with running(tmp_path) as server:

        def read() -> None:
            client = connect(server, server.token)
            while not over.is_set():
                for path in ("", "/commits/main", "/tree/main", "/refs"):
                    seen.add(client.get(f"/api/models/pairpress/m{path}").status_code)
                seen.add(client.get("/pairpress/m/resolve/main/.gitattributes").status_code)
                lists.update(client.get(path).status_code for path in listing)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        owner = connect(server, server.token)
        for _ in range(15):
            owner.post("/api/repos/create", json={"name": "m"}).raise_for_status()
            moved = {"fromRepo": "pairpress/m", "toRepo": "pairpress/n", "type": "model"}
            owner.post("/api/repos/move", json=moved).raise_for_status()
            owner.request("DELETE", "/api/repos/delete", json={"name": "n"}).raise_for_status()
        over.set()
        for reader in readers:
            reader.join()
    assert (seen, lists) == ({200, 404}, {200})
    assert "Traceback" not in (tmp_path / "server.log").read_text()
