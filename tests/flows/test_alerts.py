"""What a chat hears of runs, and what stands in their logs: real runs, a real receiver."""

import base64
import contextlib
import json
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ground import ROOT
from real_server import asked, ended, prefect, started, state_of, told, until

from tasks.core.alerts import Alert, NotTold, payload, post

TOKEN = f"hf_{secrets.token_hex(17)}"


class Chat(ThreadingHTTPServer):
    """Keeps every message; answers after `delay` seconds with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.heard: list[dict] = []
        self.delay, self.status = 0.0, 200
        self.url = f"http://127.0.0.1:{self.server_port}/services/T0/B0/{secrets.token_hex(8)}"

    def of(self, run: str) -> str:
        return next((one["text"] for one in self.heard if run in one["text"]), "")


class _Receiver(BaseHTTPRequestHandler):
    server: Chat

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(self.server.delay)
        self.server.heard.append(body)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def chat() -> Iterator[Chat]:
    with Chat() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


ALERT = Alert(what="release-model/nightly", run="jolly-otter", verdict="released v3.")


def test_a_message_is_slacks_json_with_its_signs_written_out(chat):
    said = ALERT.model_copy(
        update={"verdict": "refused: a < b & c", "links": [("me/model", "http://hub/me/model")]}
    )
    post(said, chat.url)
    text = "*release-model/nightly* jolly-otter: refused: a &lt; b &amp; c"
    assert chat.heard[-1] == {"text": f"{text}\n<http://hub/me/model|me/model>"}


def test_a_message_holds_no_token_and_is_never_endless():
    text = payload(ALERT.model_copy(update={"verdict": f"failed: {TOKEN} " + "x" * 9_000}))["text"]
    assert TOKEN not in text and len(text) < 3_100


def test_what_links_and_names_hold_breaks_no_link_and_tells_no_token():
    links = [(f"of {TOKEN}", f"http://hub/{TOKEN}?a=1|2>3")]
    told = ALERT.model_copy(update={"run": f"run-{TOKEN}", "what": TOKEN, "links": links})
    text = payload(told)["text"]
    assert TOKEN not in text
    (link,) = text.splitlines()[1:]
    assert (link.count("|"), link.count(">")) == (1, 1) and "a=1%7C2%3E3|" in link


@pytest.mark.parametrize(
    "url",
    ["hooks.slack.example/x", "http://a..b/x", f"http://{'a' * 64}.example/", "http://a\udc80/"],
)
def test_a_mistyped_address_is_told_with_a_way_out(url):
    with pytest.raises(NotTold, match="https://HOST") as error:
        post(ALERT, url)
    assert url not in str(error.value)


def test_a_chat_whose_answer_never_ends_holds_up_nobody():
    """It keeps sending; only its status is waited for."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            one, _ = server.accept()
            with one, contextlib.suppress(OSError):
                one.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while True:
                    one.sendall(b"1\r\nx\r\n")
                    time.sleep(0.1)

        dripping = threading.Thread(target=drip, daemon=True)
        dripping.start()
        post(ALERT, f"http://127.0.0.1:{server.getsockname()[1]}/")
        dripping.join(30)
        assert not dripping.is_alive()


def test_a_chat_that_is_gone_slow_or_says_no_is_told_without_its_address(chat, monkeypatch):
    gone = "http://127.0.0.1:9/services/secret"
    monkeypatch.setattr("tasks.core.alerts.PATIENCE_S", 0.2)
    monkeypatch.setattr(chat, "delay", 1.0)
    for url in (gone, chat.url, "no address", "http://[x/"):
        with pytest.raises(NotTold) as error:
            post(ALERT, url)
        assert url not in str(error.value) and "secret" not in str(error.value)
    monkeypatch.setattr(chat, "delay", 0.0)
    monkeypatch.setattr(chat, "status", 404)
    with pytest.raises(NotTold, match="404"):
        post(ALERT, chat.url)


GONE = "http://127.0.0.1:9/services/sesame"


@pytest.fixture(scope="module")
def ends(server, worker, chat) -> Iterator[dict[str, str]]:
    """Ids of runs that ended, each in its way: three by a worker, five by one process."""
    block = {"name": "pairpress-webhook", "data": {"value": chat.url}, **_secret_type(server)}
    asked(server, "block_documents/", **block)
    flow = str(Path(__file__).with_name("ends.py").relative_to(ROOT))
    prefect(server, "deploy", f"{flow}:ends", "--name", "by-hand", "--pool", "local-process")
    ways = ("bug", "kill", "wait")
    runs = {how: started(server, "ends/by-hand", how=how, token=TOKEN) for how in ways}
    subprocess.run([sys.executable, flow, TOKEN, GONE], cwd=ROOT, env=server, check=True)
    for one in asked(server, "flow_runs/filter", flows={"name": {"any_": ["ends"]}}):
        runs.setdefault(one["parameters"]["how"], one["id"])
    until(lambda: _said(server, runs["wait"], "Num examples"), 300)
    prefect(server, "flow-run", "cancel", runs["wait"])
    for run in runs.values():
        ended(server, run)
    yield runs
    prefect(server, "block", "delete", "secret/pairpress-webhook")


def _secret_type(server: dict[str, str]) -> dict[str, str]:
    kind = told(server, "block_types/slug/secret")["id"]
    (schema, *_) = asked(
        server, "block_schemas/filter", block_schemas={"block_type_id": {"any_": [kind]}}
    )
    return {"block_type_id": kind, "block_schema_id": schema["id"]}


def _logs(server: dict[str, str], run: str) -> list[str]:
    found = asked(server, "logs/filter", logs={"flow_run_id": {"any_": [run]}}, limit=200)
    return [one["message"] for one in found]


def _said(server: dict[str, str], run: str, words: str) -> bool:
    return any(words in line for line in _logs(server, run))


@pytest.mark.server
@pytest.mark.parametrize(
    ("how", "by", "verdict"),
    [
        ("finish", "ends", "finished."),
        ("refuse", "ends", "refused: strict 0.5 is below 0.9: train longer."),
        ("mistake", "ends", "cannot run: rows.jsonl: no such file. Name one that is there."),
        ("leak", "ends", "failed: RuntimeError: FileNotFoundError: [Errno 2] No such file"),
        ("bug", "ends/by-hand", "failed: RuntimeError: KeyError: 'who wrote hf_"),
        ("kill", "ends/by-hand", "crashed. "),
        ("wait", "ends/by-hand", "cancelled. "),
    ],
)
def test_a_chat_hears_how_a_run_ended(server, ends, chat, how, by, verdict):
    name = told(server, f"flow_runs/{ends[how]}")["name"]
    text = str(until(lambda: chat.of(name), 120))
    assert text.startswith(f"*{by}* {name}: {verdict}")
    page = server["PREFECT_API_URL"].removesuffix("/api")
    assert text.endswith(f"<{page}/runs/flow-run/{ends[how]}|run>")
    assert TOKEN not in text


@pytest.mark.server
def test_the_run_page_has_the_libraries_words_and_one_line_a_stage_but_no_secret(
    server, ends, chat
):
    until(lambda: _said(server, ends["bug"], "stage=count-rows"), 60)
    for how, run in ends.items():
        lines = _logs(server, run)
        state = told(server, f"flow_runs/{run}")["state"]["message"] or ""
        for text in (*lines, state):
            assert not any(one in text for one in (TOKEN, chat.url, GONE)), how
    lines = _logs(server, ends["bug"])
    assert sum("Num examples = 3" in line for line in lines) == 1
    assert sum("no pad token" in line for line in lines) == 1
    assert any(line.startswith("stage=count-rows seconds=") for line in lines)
    assert any("failed=KeyError" in line for line in lines)
    assert any("Traceback" in line for line in lines)
    assert not any("Traceback" in line for line in _logs(server, ends["refuse"]))


@pytest.mark.server
def test_no_state_and_no_result_of_prefect_holds_a_token(server, ends):
    states = [
        state
        for run in (ends["leak"], ends["bug"])
        for state in told(server, f"flow_run_states/?flow_run_id={run}")
    ]
    assert any("FileNotFoundError" in str(one["message"]) for one in states)
    assert TOKEN not in json.dumps(states)
    written = [one.read_text() for one in Path(server["PREFECT_HOME"]).rglob("storage/*")]
    packed = [base64.b64decode(one) for one in written if one.startswith("gA")]  # pickles
    assert any(b"FileNotFoundError" in one for one in packed)
    assert not any(TOKEN.encode() in one for one in packed)


@pytest.mark.server
def test_a_chat_that_is_gone_changes_no_run_and_leaves_one_line(server, ends, chat):
    run = ends["unheard"]
    assert state_of(server, run) == "COMPLETED"
    assert not chat.of(told(server, f"flow_runs/{run}")["name"])
    lines = [line for line in _logs(server, run) if "chat" in line]
    assert lines == ["the chat was not told of this run: ConnectError"]
