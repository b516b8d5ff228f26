"""Answers from a server: a real `transformers serve` with a small model, and servers that fail."""

import http.server
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.core import endpoint as module
from tasks.core.endpoint import ask_endpoint
from tasks.core.errors import InputError
from tasks.core.settings import Endpoint

PROMPTS = [
    [{"role": "user", "content": text}]
    for text in ("Who are you?", "What is 2 + 2?", "Who are you?", "Name a fruit.")
]


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's own model after a few steps: its answers are nonsense, but always the same."""
    from demo import tiny_chat

    folder = tmp_path_factory.mktemp("model") / "tiny"
    folder.mkdir()
    tiny_chat.build(folder, steps=30)
    path = folder / "generation_config.json"  # as chat models have it: the server samples by it
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_sample": True}))
    return folder


@pytest.fixture(scope="module")
def served(small_model: Path) -> Iterator[Endpoint]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [Path(sys.executable).with_name("transformers"), "serve", small_model]
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    server = subprocess.Popen([*command, *options], stderr=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"
    for _ in range(240):
        time.sleep(0.5)
        assert server.poll() is None, server.stderr and server.stderr.read()[-2000:]
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2)
            break
        except OSError:
            continue
    yield Endpoint(url=f"{url}/v1", model=str(small_model), concurrency=3)
    server.terminate()
    server.wait(20)


@pytest.mark.slow
def test_a_served_model_answers_as_it_does_when_it_is_loaded_here(
    served: Endpoint, small_model: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from tasks.core.generate import generate
    from tasks.core.models import load_tokenizer_at

    settings = {"max_tokens": 12, "temperature": 0.0}
    answers = ask_endpoint(served, PROMPTS, samples=1, settings=settings)
    model = AutoModelForCausalLM.from_pretrained(small_model, dtype=torch.float32).eval()
    here = generate(model, load_tokenizer_at(small_model), PROMPTS, max_new_tokens=12, batch_size=4)
    assert [answer.text for (answer,) in answers] == [answer.text for answer in here]
    assert [answer.finished for (answer,) in answers] == [answer.finished for answer in here]


@pytest.mark.slow
def test_samples_of_one_prompt_have_seeds_of_their_own(served: Endpoint) -> None:
    settings = {"max_tokens": 12, "temperature": 1.0, "top_p": 1.0, "seed": 5}
    (answers,) = ask_endpoint(served, PROMPTS[:1], samples=4, settings=settings)
    assert len({answer.text for answer in answers}) > 1


@pytest.mark.slow
def test_a_model_that_the_server_does_not_have_is_named(served: Endpoint) -> None:
    other = served.model_copy(update={"model": "nobody/nothing"})
    with pytest.raises(InputError, match=r"nobody/nothing: refused \(\d+"):
        ask_endpoint(other, PROMPTS, samples=1, settings={"max_tokens": 4})


Reply = Callable[[int, dict[str, Any]], tuple[int, str]]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Reply], Endpoint]]:
    """A server on loopback that replies what the test says: (number of the request, body)."""
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)
    servers = []

    def start(reply: Reply) -> Endpoint:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body["token"] = self.headers.get("Authorization")
                seen.append(body)
                status, text = reply(len(seen), body)
                choice = {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": text},
                }
                said = {"choices": [choice]} if status == 200 else {"error": text}
                data = json.dumps({"id": "1", "created": 1, "model": "m", **said}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        seen: list[dict[str, Any]] = []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return Endpoint(
            url=f"http://127.0.0.1:{server.server_port}/v1", model="m", concurrency=1, timeout=5
        )

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_busy_server_is_asked_again(answering: Callable[[Reply], Endpoint]) -> None:
    place = answering(lambda number, _: (503, "busy") if number < 3 else (200, " hello "))
    ((answer,),) = ask_endpoint(place, PROMPTS[:1], samples=1, settings={})
    assert (answer.text, answer.finished, answer.error) == ("hello", True, None)


def test_a_question_that_stays_unanswered_is_an_answer_with_its_error(
    answering: Callable[[Reply], Endpoint],
) -> None:
    place = answering(
        lambda _, body: (500, "no") if "fruit" in str(body["messages"]) else (200, "yes")
    )
    answers = ask_endpoint(place, PROMPTS, samples=1, settings={})
    assert [answer.text for (answer,) in answers] == ["yes", "yes", "yes", ""]
    assert answers[3][0].error == f"{place.url}: the server answers 500, 5 times"


def test_each_distinct_prompt_is_asked_once_and_no_answer_twice(
    answering: Callable[[Reply], Endpoint], tmp_path: Path
) -> None:
    asked = []

    def reply(_: int, body: dict[str, Any]) -> tuple[int, str]:
        asked.append(body["messages"][0]["content"])
        return 200, f"answer {len(asked)}"

    place = answering(reply)
    journal = tmp_path / "answers.jsonl"
    first = ask_endpoint(place, PROMPTS[:2], samples=1, settings={}, journal=journal)
    again = ask_endpoint(place, PROMPTS, samples=1, settings={}, journal=journal)
    assert asked == ["Who are you?", "What is 2 + 2?", "Name a fruit."]
    assert again[:3] == [*first, first[0]]


def test_a_server_that_is_gone_stops_the_run_and_says_what_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.001)
    nobody = Endpoint(url="http://127.0.0.1:9/v1", model="m")
    with pytest.raises(InputError, match=r"127.0.0.1:9/v1: no connection .* Start the server"):
        ask_endpoint(nobody, PROMPTS, samples=1, settings={})


def test_the_token_comes_from_the_environment_and_the_hub_s_own_is_not_sent(
    answering: Callable[[Reply], Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []

    def reply(_: int, body: dict[str, Any]) -> tuple[int, str]:
        sent.append(body["token"])
        return 200, "x"

    place = answering(reply)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_hub")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    ask_endpoint(place, PROMPTS[:1], samples=1, settings={})
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-server")
    ask_endpoint(place, PROMPTS[:1], samples=1, settings={})
    assert "hf_of_the_hub" not in str(sent)
    assert sent[1] == "Bearer of-the-server"
