"""Answers of a model that a server holds: vLLM, TGI, llama.cpp, `transformers serve`.

in   conversations that end with the user; the server's address and what it calls the model
out  for each prompt, in the order asked, its answers; each distinct prompt is asked once
     the protocol: https://platform.openai.com/docs/api-reference/chat

What may pass (no connection, a busy server) is tried again; what stays is an Answer with its error.
A token is read from OPENAI_API_KEY when the first question is asked, and nowhere kept.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import httpx2

from tasks.core.answers import Answer, journal_at
from tasks.core.errors import InputError
from tasks.core.progress import progress
from tasks.core.reformat import Message
from tasks.core.settings import Endpoint

TRIES = 5
FIRST_WAIT = 0.5  # seconds, doubled after each try: eight in all
FAILED_IN_A_ROW = 20  # questions after which a server is taken for gone
PASSING = {408, 409, 425, 429, 500, 502, 503, 504}


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
    refuses the question as such: an unknown model, a bad token, a wrong address.
    """
    texts = [json.dumps(prompt, ensure_ascii=False) for prompt in prompts]
    jobs = {
        _key(endpoint, text, number, settings): (text, number)
        for text in dict.fromkeys(texts)
        for number in range(samples)
    }
    with (
        journal_at(journal) as kept,
        progress(title, len(jobs), "answer") as advance,
        ThreadPoolExecutor(endpoint.concurrency) as pool,
    ):
        found = {key: kept.known[key] for key in jobs if key in kept.known}
        advance(len(found))
        client = _client(endpoint)
        asked: dict[Future[Answer], str] = {
            pool.submit(_ask, client, endpoint, json.loads(text), _seeded(settings, number)): key
            for key, (text, number) in jobs.items()
            if key not in found
        }
        failed = 0  # in a row
        try:
            for done in as_completed(asked):
                key = asked[done]
                answer = found[key] = done.result()
                kept.write(key, answer)
                advance(1)
                failed = failed + 1 if answer.error else 0
                if failed >= min(FAILED_IN_A_ROW, len(asked)):
                    raise InputError(
                        f"endpoint {answer.error}, for {failed} questions in a row. Start the "
                        "server and run again: the answers that came are kept."
                    )
        except InputError:
            pool.shutdown(cancel_futures=True)
            raise
    return [
        [found[_key(endpoint, text, number, settings)] for number in range(samples)]
        for text in texts
    ]


def _key(endpoint: Endpoint, text: str, number: int, settings: Mapping[str, Any]) -> str:
    asked = [endpoint.model, text, number, dict(settings)]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


def _seeded(settings: Mapping[str, Any], number: int) -> dict[str, Any]:
    seed = {"seed": settings["seed"] + number} if "seed" in settings else {}
    return {**settings, **seed}


def _client(endpoint: Endpoint) -> Any:
    from huggingface_hub import InferenceClient

    # A client without a key would take the Hub's own token and send it to a stranger.
    token = os.environ.get("OPENAI_API_KEY") or "none"
    return InferenceClient(base_url=endpoint.url, api_key=token, timeout=endpoint.timeout)


def _ask(
    client: Any, endpoint: Endpoint, prompt: list[Message], settings: dict[str, Any]
) -> Answer:
    from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError

    why = ""
    for wait in (FIRST_WAIT * 2**number for number in range(TRIES)):
        try:
            reply = client.chat_completion(prompt, model=endpoint.model, **settings)
        except InferenceTimeoutError:
            why = f"no answer within {endpoint.timeout:g} seconds"
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status not in PASSING:
                said = " ".join((error.server_message or error.response.text).split())[:200]
                raise InputError(
                    f"endpoint {endpoint.url}: {endpoint.model}: refused ({status}: {said}). "
                    "Check url and model, and OPENAI_API_KEY."
                ) from error
            why = f"the server answers {status}"
        except httpx2.TransportError as error:
            why = f"no connection ({error})"
        else:
            (choice,) = reply.choices
            text = (choice.message.content or "").strip()
            return Answer(text, finished=choice.finish_reason != "length")
        time.sleep(wait)
    return Answer("", finished=False, error=f"{endpoint.url}: {why}, {TRIES} times")
