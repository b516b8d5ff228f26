"""Talking to the Hub: finite patience, tries where a try is safe, and faults told in words.

in   a call of the Hub's client, and what it is for
out  what it returns; else InputError for what the user can mend, HubUnavailable for what may pass
     https://huggingface.co/docs/huggingface_hub/package_reference/utilities#configure-the-http-client

The client tries some calls again by itself and others never; it waits for ever for a silent server,
and as long as a server asks. `retrying` is for the calls that it does not try again. Every call of
ours stands in `hub_errors`, so the client that datasets and transformers share with us has our
patience, too.
"""

import functools
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from tasks.core.errors import InputError, Refused

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PASSING = (408, 429, 500, 502, 503, 504)
CONNECT_S, SILENCE_S = 20, 120  # a commit of many files is the longest silence that has an answer
LONGEST_WAIT_S = 300  # the Hub counts calls in windows of five minutes: no wait need be longer
WAITS_S = (1, 2, 4, 8, 8)  # as the client itself waits between its own tries
REFUSED_TRIES = 3
PATIENCE_S = 60  # after this no try is begun but a second one: some of them last for minutes

Answer = TypeVar("Answer")
_PREPARING = threading.Lock()


class HubUnavailable(ConnectionError):
    """The Hub did not answer, or answered that it cannot now: worth trying again."""


def endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def reading() -> "HfApi":
    """The Hub's client with the token that loads and verifies: HF_TOKEN, or the stored login."""
    from huggingface_hub import HfApi

    prepare_client()
    return HfApi()


def writing() -> "HfApi":
    """The client with the token that publishes: HF_WRITE_TOKEN, or the one that reads."""
    from huggingface_hub import HfApi

    prepare_client()
    return HfApi(token=token_in("HF_WRITE_TOKEN") or None)


def token_in(variable: str) -> str:
    """An environment variable's token, without the line end that many a file of secrets adds.

    The client cleans HF_TOKEN so, and no other: its error for a header with a line end quotes all.
    """
    return "".join(os.environ.get(variable, "").split())


def require_own_hub(what: str) -> None:
    """Raises InputError where the Hub is not on this machine."""
    if urlsplit(endpoint()).hostname not in LOOPBACK:
        raise InputError(
            f"{what}: it would write to {endpoint()}, and is released on this disk only. Run "
            "`pairpress rehearse NAME`, or take the setting out."
        )


def prepare_client() -> None:
    """Give the client that this process shares its timeouts, once."""
    with _PREPARING:  # a second factory would close the client under another thread's request
        _set_factory()


@functools.cache
def _set_factory() -> None:
    from huggingface_hub import set_client_factory

    set_client_factory(_client)


def _client() -> "httpx2.Client":
    """As the Hub's own, which follows redirects without the token; with timeouts and a cap."""
    import httpx2
    from huggingface_hub.utils._http import default_client_factory

    client = default_client_factory()
    client.timeout = httpx2.Timeout(SILENCE_S, connect=CONNECT_S)
    hooks = client.event_hooks
    client.event_hooks = {**hooks, "response": [*hooks.get("response", ()), _cap_wait]}
    return client


def _cap_wait(response: "httpx2.Response") -> None:
    """Leave one header that says how long to wait, in seconds, and never an absurd time."""
    if response.status_code not in PASSING:
        return
    asked = _asked_wait(response)
    response.headers.pop("ratelimit", None)  # the client would wait as long as it says
    response.headers.pop("retry-after", None)
    if asked:
        response.headers["retry-after"] = str(min(asked, LONGEST_WAIT_S))


def _asked_wait(response: "httpx2.Response") -> int:
    """Seconds that the server asks for: a window used up, a number of seconds, or a date."""
    from email.utils import parsedate_to_datetime

    from huggingface_hub.utils._http import parse_ratelimit_headers

    window = parse_ratelimit_headers(response.headers)
    if response.status_code == 429 and window is not None and window.remaining == 0:
        return window.reset_in_seconds
    asked = response.headers.get("retry-after", "").strip()
    if not asked or asked.isdigit():
        return int(asked or 0)
    try:
        until = parsedate_to_datetime(asked)
    except ValueError:
        return 0
    return max(0, round((until - datetime.now(UTC)).total_seconds()) if until.tzinfo else 0)


def retrying(what: str, call: Callable[[], Answer]) -> Answer:
    """The call's answer; tried again where the fault may pass and a second try is harmless.

    For calls that the client tries once, and that either only look, or look before they write.
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    def once() -> Answer:
        try:
            return call()
        except json.JSONDecodeError as error:
            raise ConnectionError("it answered with a page instead of JSON") from error

    began = time.monotonic()
    with hub_errors(what):
        for tried, wait in enumerate(WAITS_S, start=1):
            try:
                return once()
            except (
                HfHubHTTPError,
                LocalEntryNotFoundError,
                httpx2.TransportError,
                RuntimeError,
                ConnectionError,
            ) as error:
                spent = tried > 1 and time.monotonic() - began > PATIENCE_S
                # Nobody listens there: a mistyped address far more often than a Hub that restarts.
                spent |= tried >= REFUSED_TRIES and isinstance(error, httpx2.ConnectError)
                if spent or not _may_pass(error):
                    raise
                time.sleep(max(wait, _wait_told(error)))
        return once()


def _may_pass(error: BaseException | None) -> bool:
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    if isinstance(error, HubUnavailable | OfflineModeIsEnabled):
        return False  # has been tried again already, or never will be answered
    if isinstance(error, HfHubHTTPError):
        return error.response is None or error.response.status_code in PASSING
    if isinstance(error, RuntimeError):  # how a failed LFS upload comes, from one of many threads
        return _may_pass(error.__cause__) or "client has been closed" in str(error)
    return isinstance(error, httpx2.TransportError | ConnectionError | LocalEntryNotFoundError)


def _wait_told(error: BaseException) -> int:
    from huggingface_hub.errors import HfHubHTTPError

    cause = error if isinstance(error, HfHubHTTPError) else error.__cause__
    if not isinstance(cause, HfHubHTTPError) or cause.response is None:
        return 0
    return int(cause.response.headers.get("retry-after", 0))


@contextmanager
def hub_errors(what: str) -> Iterator[None]:
    """Raise InputError for what the user can mend and HubUnavailable for what may pass."""
    import httpx2
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        LocalTokenNotFoundError,
    )

    prepare_client()
    try:
        yield
    except HFValidationError as error:
        raise InputError(f"{what}: not a repository name: {error}") from error
    except LocalTokenNotFoundError as error:
        raise InputError(
            f"{what}: there is none. Set HF_TOKEN to a token with write access, log in with "
            "`hf auth login`, or use the Hub on this disk (--local)."
        ) from error
    except LocalEntryNotFoundError as error:
        raise HubUnavailable(_away(what, error)) from error
    except HfHubHTTPError as error:
        raise _told(what, error) from error
    except Refused:  # a RuntimeError, too
        raise
    except RuntimeError as error:
        if isinstance(error.__cause__, HfHubHTTPError):
            raise _told(what, error.__cause__) from error
        if not _may_pass(error):
            raise
        raise HubUnavailable(_away(what, error.__cause__ or error)) from error
    except (httpx2.InvalidURL, UnicodeEncodeError) as error:
        raise InputError(
            f"{what}: HF_ENDPOINT {endpoint()!r} or the token in HF_TOKEN is malformed."
        ) from error
    except (httpx2.TransportError, ConnectionError) as error:
        if isinstance(error, HubUnavailable):
            raise
        raise HubUnavailable(_away(what, error)) from error


def _told(what: str, error: "HfHubHTTPError") -> HubUnavailable | InputError:
    status = error.response.status_code if error.response is not None else 0
    if status == 507:
        return HubUnavailable(
            f"{what}: the disk of the Hub at {endpoint()} is full (507). Make room there, then run "
            "the same command again: what it stored is not sent again."
        )
    if not status or status >= 500 or status in PASSING:
        return HubUnavailable(_away(what, error))
    return InputError(_refused(what, status, error))


def _away(what: str, error: BaseException) -> str:
    return (
        f"{what}: the Hub at {endpoint()} did not answer ({_reason(error)}). Check HF_ENDPOINT and "
        "the network, then run the same command again: finished stages stay finished."
    )


def _reason(error: BaseException) -> str:
    """The first line of what an error says; of an address, not the signature that it carries."""
    lines = str(error).strip().splitlines()
    return re.sub(r"\?[^\s']+", "", lines[0]) if lines else type(error).__name__


def _variables() -> str:
    """Which tokens are in use: nothing tells which of two the Hub has just refused."""
    return "HF_TOKEN and HF_WRITE_TOKEN" if os.environ.get("HF_WRITE_TOKEN") else "HF_TOKEN"


def _refused(what: str, status: int, error: Exception) -> str:
    if status == 401:
        return (
            f"{what}: the Hub at {endpoint()} refused the token (401). "
            f"Set {_variables()} to a valid token, or log in with `hf auth login`."
        )
    if status == 403:
        return (
            f"{what}: the token may not do this (403). Use a token with write access to that "
            "namespace, or change release.repository."
        )
    if status == 404:
        return (
            f"{what}: not found on {endpoint()} (404), or private to another user. "
            "Check the name and the revision, and that the token may read it."
        )
    if status == 412:
        return f"{what}: main moved meanwhile (412); nothing was overwritten. Run again."
    return f"{what}: the Hub refused ({status}): {_reason(error)}"
