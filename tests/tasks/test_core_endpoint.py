"""Answers from a server: a real `transformers serve` with a small model, and servers that fail.

A long file: a server can fail in many ways, and each must end in an answer or in words.
"""

import http.server
import json
import os
import signal
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


Reply = Callable[[int, dict[str, Any]], tuple[int, str | dict[str, Any] | bytes]]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Reply], Endpoint]]:
    """A server on loopback that replies what the test says: (number of the request, body).

    A text is a whole answer or an error, a dict is a choice, bytes are the reply itself.
    """
    monkeypatch.setattr(module, "FIRST_WAIT", 0.001)
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
                if isinstance(text, dict):
                    choice |= text
                said = {"choices": [choice]} if status == 200 else {"error": text}
                whole = {"id": "1", "created": 1, "model": "m", **said}
                data = text if isinstance(text, bytes) else json.dumps(whole).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        seen: list[dict[str, Any]] = []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
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


def questions(count: int) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": f"Question {n}"}] for n in range(count)]


def number_of(body: dict[str, Any]) -> int:
    return int(body["messages"][0]["content"].split()[-1])


@pytest.mark.parametrize(
    "odd",
    [
        b"<html>hello</html>",
        b'{"id":',
        b'{"error": {"message": "overloaded"}}',
        b'{"choices": []}',
        b'{"choices": [{"index": 0}]}',
        b'{"choices": {"0": "x"}}',
        b"[]",
        b"",
        b"\xff",
    ],
)
def test_a_reply_that_is_no_answer_is_asked_again_and_then_an_error(
    answering: Callable[[Reply], Endpoint], odd: bytes
) -> None:
    place = answering(lambda number, _: (200, odd) if number < 3 else (200, "hello"))
    assert ask_endpoint(place, PROMPTS[:1], samples=1, settings={})[0][0].text == "hello"
    place = answering(lambda _, body: (200, odd if number_of(body) == 1 else "hello"))
    answers = ask_endpoint(place, questions(3), samples=1, settings={})
    assert [answer.text for (answer,) in answers] == ["hello", "", "hello"]
    error = answers[1][0].error or ""
    assert error.startswith(f"{place.url}: the server's reply is no answer (")
    assert error.endswith("), 5 times")


@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_question_that_the_server_refuses_is_an_answer_with_its_error(
    answering: Callable[[Reply], Endpoint], status: int
) -> None:
    said = "This model's maximum context length is 10 tokens"
    place = answering(lambda _, body: (status, said) if number_of(body) == 0 else (200, "yes"))
    (long,), *others = ask_endpoint(place, questions(5), samples=1, settings={})
    assert all(answer.text == "yes" for (answer,) in others)
    assert not long.finished and f"refused ({status}: " in (long.error or "")
    assert said in (long.error or "")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_token_address_or_model_refuses_the_run_at_once(
    answering: Callable[[Reply], Endpoint], status: int
) -> None:
    asked = []

    def reply(number: int, _: dict[str, Any]) -> tuple[int, str]:
        asked.append(number)
        return status, "no"

    with pytest.raises(InputError, match=rf"m: refused \({status}: .*no.*OPENAI_API_KEY"):
        ask_endpoint(answering(reply), questions(100), samples=1, settings={})
    assert len(asked) < 10


@pytest.mark.parametrize("count", [3, 200])
def test_a_server_that_refuses_the_first_questions_all_alike_refuses_the_run(
    answering: Callable[[Reply], Endpoint], count: int
) -> None:
    asked = []

    def reply(number: int, _: dict[str, Any]) -> tuple[int, str]:
        asked.append(number)
        return 400, "unknown parameter"

    with pytest.raises(InputError, match=r"unknown parameter.*questions in a row"):
        ask_endpoint(answering(reply), questions(count), samples=1, settings={})
    assert len(asked) <= module.FAILED_IN_A_ROW + 5


@pytest.mark.parametrize(("count", "failing"), [(3, 1), (60, 50)])
def test_a_resumed_run_ends_where_only_failing_questions_are_left(
    answering: Callable[[Reply], Endpoint], tmp_path: Path, count: int, failing: int
) -> None:
    """The server answers what it answered before, so it is the questions that fail."""
    place = answering(
        lambda _, body: (500, "no") if number_of(body) >= count - failing else (200, "yes")
    )
    place = place.model_copy(update={"concurrency": 8})
    journal = tmp_path / "answers.jsonl"
    for _ in range(2):
        found = ask_endpoint(place, questions(count), samples=1, settings={}, journal=journal)
        errors = [answer.error for (answer,) in found if answer.error]
        assert len(errors) == failing


def test_a_server_that_goes_stops_the_run_and_the_answers_before_are_kept(
    answering: Callable[[Reply], Endpoint], tmp_path: Path
) -> None:
    asked = []

    def reply(number: int, _: dict[str, Any]) -> tuple[int, str]:
        asked.append(number)
        return (200, "yes") if number <= 10 else (503, "gone")

    journal = tmp_path / "answers.jsonl"
    with pytest.raises(InputError, match="answers 503, 5 times, for 20 questions in a row"):
        ask_endpoint(answering(reply), questions(1000), samples=1, settings={}, journal=journal)
    assert journal.read_bytes().count(b"\n") == 10
    assert len(asked) < 10 + 5 * (module.FAILED_IN_A_ROW + 5)


def test_ctrl_c_asks_nothing_more_and_keeps_every_answer_that_came(
    answering: Callable[[Reply], Endpoint], tmp_path: Path
) -> None:
    asked = []

    def reply(number: int, _: dict[str, Any]) -> tuple[int, str]:
        asked.append(number)
        if number == 8:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        return 200, "yes"

    place = answering(reply).model_copy(update={"concurrency": 4})
    journal = tmp_path / "answers.jsonl"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job has none
    try:
        with pytest.raises(KeyboardInterrupt):
            ask_endpoint(place, questions(100), samples=1, settings={}, journal=journal)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(asked) < 20
    assert journal.read_bytes().count(b"\n") == len(asked)


@pytest.mark.parametrize("reason", ["content_filter", "tool_calls", "abort", None])
def test_an_answer_that_the_server_ended_otherwise_is_not_whole(
    answering: Callable[[Reply], Endpoint], reason: str | None, tmp_path: Path
) -> None:
    content = None if reason == "tool_calls" else "I am"
    choice = {"finish_reason": reason, "message": {"role": "assistant", "content": content}}
    place = answering(lambda _, body: (200, "yes" if number_of(body) == 30 else choice))
    *all_odd, (whole,) = ask_endpoint(place, questions(31), samples=1, settings={})
    assert whole.finished  # and so many in a row are no sign that the server is gone
    for (odd,) in all_odd:
        assert not odd.finished
        assert odd.error == f"the server ended it by {reason or 'no reason'}"
    journal = tmp_path / "answers.jsonl"
    ask_endpoint(place, questions(3), samples=1, settings={}, journal=journal)
    assert journal.read_bytes() == b""


def test_every_sample_of_every_seed_has_a_seed_of_its_own(
    answering: Callable[[Reply], Endpoint],
) -> None:
    sent = []

    def reply(_: int, body: dict[str, Any]) -> tuple[int, str]:
        sent.append(body["seed"])
        return 200, "x"

    place = answering(reply)
    for seed in (0, 1, 2):
        ask_endpoint(place, questions(2), samples=3, settings={"seed": seed})
    assert len(set(sent)) == len(sent) == 3 * 2 * 3
    assert all(0 <= seed < 2**31 for seed in sent)
    again, sent[:] = list(sent[:6]), []
    ask_endpoint(place, questions(2), samples=3, settings={"seed": 0})
    assert sent == again


def test_a_larger_limit_asks_only_what_was_cut_off(
    answering: Callable[[Reply], Endpoint], tmp_path: Path
) -> None:
    asked = []

    def reply(_: int, body: dict[str, Any]) -> tuple[int, str | dict[str, Any]]:
        asked.append((number_of(body), body["max_tokens"]))
        cut = number_of(body) == 1 and body["max_tokens"] < 20
        return 200, {"finish_reason": "length", "message": {"content": "I am"}} if cut else "whole"

    place = answering(reply)
    journal = tmp_path / "answers.jsonl"

    def finished(limit: int) -> list[bool]:
        settings = {"max_tokens": limit}
        found = ask_endpoint(place, questions(3), samples=1, settings=settings, journal=journal)
        return [answer.finished for (answer,) in found]

    assert finished(10) == [True, False, True]
    assert finished(10) == [True, False, True]
    assert asked == [(0, 10), (1, 10), (2, 10)]
    assert finished(20) == finished(30) == [True, True, True]
    assert asked[3:] == [(1, 20)]
    assert finished(10) == [True, False, True]
    assert asked[4:] == []
    assert finished(5) == [True, False, True]  # whether they end before 5 tokens is not known
    assert asked[4:] == [(0, 5), (1, 5), (2, 5)]


def test_an_address_that_is_none_is_told() -> None:
    nowhere = Endpoint(url="http://here:port/v1", model="m")
    with pytest.raises(InputError, match="no address"):
        ask_endpoint(nowhere, PROMPTS, samples=1, settings={})
