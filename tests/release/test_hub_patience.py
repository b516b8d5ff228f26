"""Patience with a Hub that fails: what is tried again, how long, and what is said at the end."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import HfApi, close_session
from huggingface_hub.utils import get_session
from kilobytes import Switch

from localhub.client_env import Server
from tasks.core import hub as our_hub
from tasks.core import trees
from tasks.core.errors import InputError
from tasks.core.hub import (
    CONNECT_S,
    LONGEST_WAIT_S,
    SILENCE_S,
    WAITS_S,
    HubUnavailable,
    hub_errors,
    prepare_client,
    retrying,
    writing,
)
from tasks.core.publish import Repository, commit_repository, create

WHOAMI = {"method": "GET", "path": "/api/whoami-v2"}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that were asked for; none is waited."""
    asked: list[float] = []
    monkeypatch.setattr(time, "sleep", asked.append)
    return asked


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(our_hub, "SILENCE_S", 0.3)
    close_session()
    yield
    close_session()


def ask() -> object:
    return retrying("the token", writing().whoami)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_after_longer_and_longer_waits(
    hub: Server, switch: Switch, waits: list[float], status: int
) -> None:
    switch.set({**WHOAMI, "kind": "status", "status": status, "times": 3})
    assert ask() == HfApi().whoami()
    assert waits == list(WAITS_S[:3])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 507])
def test_a_refusal_is_final(hub: Server, switch: Switch, waits: list[float], status: int) -> None:
    switch.set({**WHOAMI, "kind": "status", "status": status})
    with pytest.raises((InputError, HubUnavailable), match=str(status)):
        ask()
    assert waits == [] and switch.count("GET", "whoami") == 1


@pytest.mark.parametrize("kind", ["drop", "drop-reply", "lose-answer"])
def test_a_broken_connection_is_tried_again(
    hub: Server, switch: Switch, waits: list[float], kind: str
) -> None:
    switch.set({**WHOAMI, "kind": kind, "times": 2})
    assert ask() == HfApi().whoami()
    assert waits == list(WAITS_S[:2])


def test_a_fault_that_lasts_is_told_in_one_line(
    hub: Server, switch: Switch, waits: list[float]
) -> None:
    switch.set({**WHOAMI, "kind": "status", "times": 100})
    with pytest.raises(HubUnavailable) as away:
        ask()
    assert str(away.value).startswith(f"the token: the Hub at {hub.url} did not answer")
    assert "503" in str(away.value) and "\n" not in str(away.value)
    assert switch.count("GET", "whoami") == len(WAITS_S) + 1


def test_a_hub_that_asks_for_a_wait_gets_it(
    hub: Server, switch: Switch, waits: list[float]
) -> None:
    switch.set({**WHOAMI, "kind": "status", "status": 429, "retry_after": 30})
    ask()
    assert waits == [30]


def test_nobody_waits_for_a_day(hub: Server, switch: Switch, waits: list[float]) -> None:
    """Neither we nor the client by itself, which obeys whatever it is told."""
    target = Repository(part="model", repo="pairpress/patience", repo_type="model")
    create(target, private=False)
    day = {"kind": "status", "status": 429, "retry_after": 86400}
    switch.set({**WHOAMI, **day}, {"method": "GET", "path": "/tree/main", **day})
    ask()
    trees.tree_of(target, "main")
    assert waits == [LONGEST_WAIT_S, LONGEST_WAIT_S + 1]  # the client adds a second


def test_trying_ends_after_a_while_but_not_before_a_second_try(
    hub: Server, switch: Switch, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(our_hub, "PATIENCE_S", 0)
    switch.set({**WHOAMI, "kind": "status", "times": 100})
    with pytest.raises(HubUnavailable):
        ask()
    assert switch.count("GET", "whoami") == 2


def test_a_silent_hub_does_not_hold_us_for_ever(
    hub: Server, switch: Switch, waits: list[float], impatient: None
) -> None:
    switch.set({**WHOAMI, "kind": "slow", "seconds": 30, "times": 100})
    began = time.monotonic()
    with pytest.raises(HubUnavailable, match="timed out"):
        ask()
    assert time.monotonic() - began < 10


def test_whoever_shares_the_client_shares_the_patience(hub: Server) -> None:
    """datasets and transformers go through huggingface_hub's own session."""
    close_session()
    with hub_errors("anything"):
        timeout = get_session().timeout
    assert (timeout.connect, timeout.read, timeout.write) == (CONNECT_S, SILENCE_S, SILENCE_S)


def test_many_threads_prepare_one_client(hub: Server) -> None:
    sessions = []

    def work() -> None:
        prepare_client()
        sessions.append(get_session())

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, sessions))) == 1


def test_a_large_file_s_upload_is_told_without_the_signature_of_its_address(
    hub: Server, tmp_path: Path, switch: Switch, waits: list[float]
) -> None:
    target = Repository(part="model", repo="pairpress/patience-upload", repo_type="model")
    create(target, private=False)
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    switch.set({"method": "PUT", "path": "/lfs/", "kind": "status", "times": 1000})
    with pytest.raises(HubUnavailable) as away:
        commit_repository(target, tmp_path, "one")
    assert "/lfs/" in str(away.value) and "?" not in str(away.value)


def answering(status: int, headers: dict[str, str], seen: list[str | None]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"<>")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_a_redirect_elsewhere_is_followed_without_the_token(hub: Server) -> None:
    here: list[str | None] = []
    there: list[str | None] = []
    storage = answering(200, {}, there)
    moved = {"Location": f"http://127.0.0.1:{storage.server_port}/blob"}
    front = answering(302, moved, here)
    prepare_client()
    url = f"http://127.0.0.1:{front.server_port}/resolve"
    reply = get_session().get(url, headers={"Authorization": "Bearer hf_mine"})
    assert (reply.status_code, here, there) == (200, ["Bearer hf_mine"], [None])
    for server in (front, storage):
        server.shutdown()


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "100000"}, LONGEST_WAIT_S),
        ({"Retry-After": "Wed, 21 Oct 2065 07:28:00 GMT"}, LONGEST_WAIT_S),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"Retry-After": "soon"}, None),
        ({"ratelimit": '"api";r=0;t=55'}, 55),
        ({"ratelimit": '"api";r=0;t=99999'}, LONGEST_WAIT_S),
        ({"ratelimit": '"api";r=12;t=55'}, None),
        ({}, None),
    ],
)
def test_whatever_way_a_wait_is_asked_for_there_is_one_header_left(
    hub: Server, headers: dict[str, str], wait: int | None
) -> None:
    server = answering(429, headers, [])
    prepare_client()
    reply = get_session().get(f"http://127.0.0.1:{server.server_port}/")
    assert reply.headers.get("retry-after") == (None if wait is None else str(wait))
    assert "ratelimit" not in reply.headers
    server.shutdown()


def test_an_error_page_of_some_proxy_may_pass(hub: Server, waits: list[float]) -> None:
    """The card's check reads JSON before it looks at the status."""
    server = answering(200, {}, [])
    replies = iter([f"http://127.0.0.1:{server.server_port}/", f"{hub.url}/api/whoami-v2"])
    headers = {"Authorization": f"Bearer {hub.token}"}
    found = retrying("the card", lambda: get_session().get(next(replies), headers=headers).json())
    assert found["name"] == "pairpress" and waits == [WAITS_S[0]]
    server.shutdown()
