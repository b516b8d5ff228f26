"""The fault switch does to a request what it says, and to no other; the store stays whole."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from fault_switch import Switch

from localhub.client_env import Server, running

Connect = Callable[..., httpx.Client]
CREATE = "^/api/repos/create$"


@pytest.fixture(scope="module")
def switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switch]:
    with running(tmp_path_factory.mktemp("faulty"), faults=True) as server:
        yield Switch(server)


@pytest.fixture
def client(switch: Switch, connect: Connect) -> Iterator[httpx.Client]:
    switch.clear()
    with connect(switch.server, switch.server.token) as client:
        yield client
    assert "Exception" not in (switch.server.root / "server.log").read_text()


def create(client: httpx.Client, name: str) -> httpx.Response:
    body = {"name": name, "organization": None, "type": "model", "visibility": "public"}
    return client.post("/api/repos/create", json=body)


def is_there(client: httpx.Client, name: str) -> bool:
    return client.get(f"/api/models/pairpress/{name}").status_code == 200


def add_file(client: httpx.Client, repo: str, content: str) -> httpx.Response:
    lines = [
        {"key": "header", "value": {"summary": "a commit"}},
        {"key": "file", "value": {"path": "a.txt", "content": content, "encoding": "base64"}},
    ]
    body = "\n".join(map(json.dumps, lines))
    return client.post(f"/api/models/pairpress/{repo}/commit/main", content=body)


def head(client: httpx.Client, repo: str) -> str:
    return client.get(f"/api/models/pairpress/{repo}").json()["sha"]


def test_a_dropped_request_was_never_acted_on(switch: Switch, client: httpx.Client) -> None:
    switch.add("POST", CREATE, "drop", after=5)
    with pytest.raises(httpx.TransportError):
        create(client, "dropped")
    (request,) = switch.requests("POST", "/api/repos/create")
    assert request["fault"] == "drop"
    assert request["received"] >= 5
    assert request["status"] is None
    assert not is_there(client, "dropped")
    assert create(client, "dropped").is_success  # once only


def test_a_request_is_dropped_in_the_middle_of_a_large_body(
    switch: Switch, client: httpx.Client
) -> None:
    switch.add("PUT", "^/lfs/", "drop", after=100_000)
    content = b"x" * 8_000_000
    with pytest.raises(httpx.TransportError):
        client.put(f"/lfs/{hashlib.sha256(content).hexdigest()}", content=content)
    (request,) = switch.requests("PUT")
    assert 100_000 <= request["received"] < len(content)


def test_a_lost_answer_is_lost_after_all_was_done(switch: Switch, client: httpx.Client) -> None:
    create(client, "lost")
    before = head(client, "lost")
    switch.add("POST", "/commit/main$", "lose-answer")
    with pytest.raises(httpx.RemoteProtocolError):
        add_file(client, "lost", "aGk=")
    assert head(client, "lost") != before
    (request,) = switch.requests("POST", "/commit/")
    assert (request["status"], request["sent"]) == (200, 0)


def test_a_reply_is_cut_where_asked(switch: Switch, client: httpx.Client) -> None:
    create(client, "cut")
    switch.add("GET", "resolve/main/.gitattributes$", "drop-reply", after=7)
    with client.stream("GET", "/pairpress/cut/resolve/main/.gitattributes") as reply:
        came = b""
        with pytest.raises(httpx.RemoteProtocolError):
            for chunk in reply.iter_raw():
                came += chunk
    whole = client.get("/pairpress/cut/resolve/main/.gitattributes").content
    assert came == whole[:7]
    assert [each["sent"] for each in switch.requests(path="resolve")] == [7, len(whole)]


def test_a_status_comes_as_often_as_asked_after_those_skipped(
    switch: Switch, client: httpx.Client
) -> None:
    switch.add("GET", "whoami", "status", status=429, retry_after=3, times=2, skip=1)
    replies = [client.get("/api/whoami-v2") for _ in range(4)]
    assert [reply.status_code for reply in replies] == [200, 429, 429, 200]
    assert replies[1].headers["Retry-After"] == "3"
    assert switch.left() == []
    assert "Retry-After" not in replies[0].headers


def test_only_the_first_fitting_fault_is_used_and_others_wait(
    switch: Switch, client: httpx.Client
) -> None:
    switch.add("GET", "whoami", "status", status=503)
    switch.add("GET", "whoami", "status", status=500)
    codes = [client.get("/api/whoami-v2").status_code for _ in range(3)]
    assert codes == [503, 500, 200]
    switch.add("POST", "whoami", "status")
    assert client.get("/api/whoami-v2").status_code == 200
    assert len(switch.left()) == 1


def test_a_slow_request_is_served_only_to_a_client_that_waited(
    switch: Switch, client: httpx.Client
) -> None:
    switch.add("POST", CREATE, "slow", seconds=0.3, times=2)
    started = time.monotonic()
    assert create(client, "slow").is_success
    assert time.monotonic() - started >= 0.3
    with pytest.raises(httpx.ReadTimeout):
        client.post("/api/repos/create", json={"name": "gone", "type": "model"}, timeout=0.1)
    time.sleep(0.5)
    assert is_there(client, "slow")
    assert not is_there(client, "gone")


def test_a_late_request_is_done_though_nobody_waits(switch: Switch, client: httpx.Client) -> None:
    switch.add("POST", CREATE, "late", seconds=0.3)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/api/repos/create", json={"name": "late", "type": "model"}, timeout=0.1)
    assert not is_there(client, "late")
    deadline = time.monotonic() + 5
    while not is_there(client, "late") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert is_there(client, "late")


def test_a_full_disk_keeps_nothing_and_hinders_nobody_else(
    switch: Switch, client: httpx.Client
) -> None:
    create(client, "full")
    before = head(client, "full")
    switch.add("POST", "/full/commit/main$", "full-disk")
    assert add_file(client, "full", "aGk=").status_code == 507
    assert head(client, "full") == before
    assert list((switch.server.root / "tmp").iterdir()) == []
    assert add_file(client, "full", "aGk=").is_success
    assert head(client, "full") != before


def test_a_request_under_way_stands_in_the_log(switch: Switch, client: httpx.Client) -> None:
    switch.add("GET", "whoami", "slow", seconds=1)
    asking = threading.Thread(target=client.get, args=("/api/whoami-v2",))
    asking.start()
    deadline = time.monotonic() + 5
    while not (seen := switch.requests(path="whoami")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert seen[0]["status"] is None
    asking.join()
    assert switch.requests(path="whoami")[0]["status"] == 200


def test_the_log_names_no_signature_and_begins_anew_when_cleared(
    switch: Switch, client: httpx.Client
) -> None:
    client.get("/api/whoami-v2?signature=secret")
    (request,) = switch.requests()
    assert request["path"] == "/api/whoami-v2"
    assert request["sent"] > 0
    switch.clear()
    assert switch.requests() == []


def test_the_switch_is_the_owners_alone(
    switch: Switch, client: httpx.Client, connect: Connect
) -> None:
    assert connect(switch.server).get("/_faults").status_code == 401
    assert connect(switch.server, "hf_nobody").delete("/_faults").status_code == 401
    elsewhere = {"Host": "hub.example.org"}
    assert client.get("/_faults", headers=elsewhere).status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "GET", "path": "x", "kind": "explode"},
        {"method": "GET", "path": "(", "kind": "drop"},
        {"method": "GET", "kind": "drop"},
        {"method": "GET", "path": "x", "kind": "drop", "often": 2},
        {"method": "GET", "path": "x", "kind": "drop", "times": 0},
    ],
)
def test_a_mistaken_fault_is_refused(
    wrong: dict[str, object], switch: Switch, client: httpx.Client
) -> None:
    refused = client.post("/_faults", json=[wrong])
    assert refused.status_code == 400
    assert "fault" in refused.json()["error"] or "kind" in refused.json()["error"]
    assert switch.left() == []


def test_a_localhub_without_the_switch_has_no_such_path(hub: Server, owner: httpx.Client) -> None:
    assert owner.get("/_faults").status_code == 404
