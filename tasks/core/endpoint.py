"""Answers of a model that a server holds: vLLM, TGI, llama.cpp, `transformers serve`.

in   conversations that end with the user; the server's address and what it calls the model
out  for each prompt, in the order asked, its answers; each distinct prompt is asked once
     the protocol: https://platform.openai.com/docs/api-reference/chat

What may pass (no connection, a busy server, half a reply) is tried again; what stays is an Answer
with its error. A token is read from OPENAI_API_KEY when the first question is asked, and nowhere
kept.
"""

import hashlib
import json
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from pydantic import BaseModel, Field, ValidationError

from tasks.core.answers import Answer, journal_at
from tasks.core.errors import InputError
from tasks.core.fields import Message
from tasks.core.hub import token_in
from tasks.core.progress import progress
from tasks.core.settings import Endpoint

TRIES = 5
FIRST_WAIT = 0.5  # seconds, doubled after each try
FAILED_IN_A_ROW = 20  # questions after which a server may be gone
PASSING = {408, 409, 425, 429, 500, 502, 503, 504}
REFUSING = {401, 403, 404}  # the token, the address or the model: alike for every question
WHOLE = {"stop", "eos_token", "stop_sequence"}  # the last two are TGI's
JSON = {"Content-Type": "application/json"}


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Reply(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


@dataclass(frozen=True)
class _Server:
    """One server and how it is asked; `stop` is set where nobody waits for answers any more."""

    place: Endpoint
    settings: Mapping[str, Any]
    client: httpx2.Client
    stop: threading.Event

    @property
    def most(self) -> int:
        return int(self.settings.get("max_tokens", sys.maxsize))


def ask_endpoint(
    endpoint: Endpoint,
    prompts: list[list[Message]],
    *,
    samples: int,
    settings: Mapping[str, Any],
    title: str = "answers",
    journal: Path | None = None,
) -> list[list[Answer]]:
    """`samples` answers to each prompt; `settings` by the protocol's names (max_tokens, seed ...).

    Each sample has a seed of its own, where a seed is given. Raises InputError where the server
    refuses every question (an unknown model, a bad token, a wrong address) or is gone.
    """
    texts = [json.dumps(prompt) for prompt in prompts]
    jobs = {
        _key(endpoint, text, number, settings): (text, number)
        for text in dict.fromkeys(texts)
        for number in range(samples)
    }
    with (
        journal_at(journal) as kept,
        progress(title, len(jobs), "answer") as advance,
        _client(endpoint) as client,
        ThreadPoolExecutor(endpoint.concurrency) as pool,
    ):
        server = _Server(endpoint, settings, client, threading.Event())
        known = {key: kept.find(key, server.most) for key in jobs}
        found = {key: answer for key, answer in known.items() if answer is not None}
        advance(len(found))

        def answered(key: str) -> tuple[str, Answer, bool]:
            """Kept where it comes, so that nothing that came is lost however the run ends."""
            answer, heard = _ask(server, *jobs[key])
            kept.write(key, answer)
            return key, answer, heard

        spoke = next(iter(found), None)  # a question that the server has answered
        failed = 0  # in a row
        try:
            asked = [pool.submit(answered, key) for key in jobs if key not in found]
            for done in as_completed(asked):
                key, answer, heard = done.result()
                found[key] = answer
                advance(1)
                failed = 0 if heard else failed + 1
                spoke = key if spoke is None and heard else spoke
                if failed == FAILED_IN_A_ROW or (spoke is None and failed == len(asked)):
                    again = None if spoke is None else jobs[spoke]
                    _require_alive(server, again, answer, failed)
                    failed = 0
        finally:  # also at Ctrl-C: what waits is not asked, what is under way is waited for
            server.stop.set()
            pool.shutdown(cancel_futures=True)
    return [
        [found[_key(endpoint, text, number, settings)] for number in range(samples)]
        for text in texts
    ]


def _require_alive(
    server: _Server, spoke: tuple[str, int] | None, last: Answer, failed: int
) -> None:
    """Raises InputError unless a question that was answered before is answered again: then it is
    the questions that fail, and each of them is set aside."""
    if spoke is None or not _ask(server, *spoke)[1]:
        raise InputError(
            f"endpoint {last.error}, for {failed} questions in a row. Start the server, or check "
            "url, model and timeout, and run again: the answers that came are kept."
        )


def _key(endpoint: Endpoint, text: str, number: int, settings: Mapping[str, Any]) -> str:
    """Without the token limit: an answer that ended before it is the same under a larger one."""
    how = {name: value for name, value in settings.items() if name != "max_tokens"}
    asked = [endpoint.model, text, number, how]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


def _seeded(settings: Mapping[str, Any], text: str, number: int) -> dict[str, Any]:
    """A seed of its own for each sample, below 2**31 as servers want it."""
    if "seed" not in settings:
        return dict(settings)
    chance = f"{settings['seed']} {number} {text}".encode()
    return {**settings, "seed": int.from_bytes(hashlib.sha256(chance).digest()[:4]) >> 1}


def _client(endpoint: Endpoint) -> httpx2.Client:
    try:
        httpx2.URL(endpoint.url)
    except httpx2.InvalidURL as error:
        raise InputError(f"endpoint {endpoint.url}: no address ({error}). Check url.") from error
    token = token_in("OPENAI_API_KEY")
    return httpx2.Client(
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=endpoint.timeout,
        limits=httpx2.Limits(max_connections=endpoint.concurrency + 1),
    )


def _ask(server: _Server, text: str, number: int) -> tuple[Answer, bool]:
    """(an answer, after some tries, or one with its error; whether it is the model's)."""
    place, why = server.place, ""
    asked = {"model": place.model, "messages": json.loads(text)}
    content = json.dumps(asked | _seeded(server.settings, text, number))
    url = f"{place.url.rstrip('/')}/chat/completions"
    for attempt in range(TRIES):
        if attempt and server.stop.wait(FIRST_WAIT * 2 ** (attempt - 1)):
            break
        try:
            reply = server.client.post(url, content=content, headers=JSON)
        except httpx2.TimeoutException:
            why = f"no answer within {place.timeout:g} seconds"
            continue
        except httpx2.RequestError as error:
            why = f"no connection ({error})"
            continue
        said = " ".join(reply.text.split())[:200]
        if reply.status_code in PASSING:
            why = f"the server answers {reply.status_code}"
        elif reply.is_success:
            try:
                return _read(_Reply.model_validate_json(reply.content), server), True
            except ValidationError:
                why = f"the server's reply is no answer ({said or 'empty'})"
        else:
            refused = f"{place.url}: {place.model}: refused ({reply.status_code}: {said})"
            if reply.status_code in REFUSING:
                raise InputError(f"endpoint {refused}. Check url and model, and OPENAI_API_KEY.")
            return Answer("", finished=False, error=refused), False
    return Answer("", finished=False, error=f"{place.url}: {why}, {TRIES} times"), False


def _read(reply: _Reply, server: _Server) -> Answer:
    choice = reply.choices[0]
    text, ended = (choice.message.content or "").strip(), choice.finish_reason
    if ended in WHOLE or ended == "length":
        return Answer(text, finished=ended in WHOLE, tokens=server.most)
    return Answer(text, finished=False, error=f"the server ended it by {ended or 'no reason'}")
