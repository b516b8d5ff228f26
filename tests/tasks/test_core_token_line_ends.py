"""A token from a file of secrets ends in a line end: it works, and no error quotes it."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.endpoint import ask_endpoint
from tasks.core.hub import hub_errors, token_in, writing
from tasks.core.miniatures import _fetched
from tasks.core.settings import Endpoint

KEY = "sk-secret-of-somebody"


@pytest.fixture
def hears() -> Iterator[tuple[str, list[str]]]:
    """A server of answers and the keys that it was shown."""
    heard: list[str] = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.headers["Authorization"])
            self.rfile.read(int(self.headers["Content-Length"]))
            message = {"role": "assistant", "content": "A pear."}
            reply = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(reply.encode())

        def log_message(self, *_: object) -> None:
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1", heard
        server.shutdown()


def test_a_token_is_taken_without_its_line_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", f" {KEY}\r\n")
    assert (token_in("SOME_TOKEN"), token_in("NO_SUCH_TOKEN")) == (KEY, "")


def test_the_hub_takes_a_write_token_with_a_line_end(hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_WRITE_TOKEN", f"{hub.token}\n")
    with hub_errors("whoami"):
        assert writing().whoami()["name"] == "pairpress"


def test_a_small_file_is_fetched_with_a_token_with_a_line_end(
    hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi

    repo = "pairpress/line-end"
    HfApi().create_repo(repo, private=True)
    upload = {"path_or_fileobj": b"{}", "path_in_repo": "config.json"}
    HfApi().upload_file(repo_id=repo, **upload)
    monkeypatch.setenv("HF_TOKEN", f"{hub.token}\n")
    assert _fetched(repo, "main", "config.json") == "{}"


def test_a_server_of_answers_takes_a_key_with_a_line_end(
    hears: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, heard = hears
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    prompt = [{"role": "user", "content": "Name a fruit."}]
    there = Endpoint(url=url, model="m")
    [[answer]] = ask_endpoint(there, [prompt], samples=1, settings={"max_tokens": 8})
    assert (answer.text, answer.error) == ("A pear.", None)
    assert heard == [f"Bearer {KEY}"]
