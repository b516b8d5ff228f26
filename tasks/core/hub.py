"""What goes wrong with the Hub, in words: every failed call becomes one line with the way out.

A 401 over plain http raises HfHubHTTPError and over https RepositoryNotFoundError for the same
reply, so the status code decides, not the class.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tasks.core.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PASSING = (408, 429, 500, 502, 503, 504)


class HubUnavailable(ConnectionError):
    """The Hub did not answer, or answered that it cannot now: worth trying again."""


def endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def require_own_hub(what: str) -> None:
    """Raises InputError where the Hub is not on this machine."""
    if urlsplit(endpoint()).hostname not in LOOPBACK:
        raise InputError(
            f"{what}: it would write to {endpoint()}, and is released on this disk only. Run "
            "`pairpress rehearse NAME`, or take the setting out."
        )


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
        status = error.response.status_code if error.response is not None else 0
        if status in PASSING or not status:
            raise HubUnavailable(_away(what, error)) from error
        raise InputError(_refused(what, status, error)) from error
    except RuntimeError as error:  # how a failed LFS verification comes
        if not isinstance(error.__cause__, HfHubHTTPError):
            raise
        raise HubUnavailable(_away(what, error)) from error
    except (httpx2.InvalidURL, UnicodeEncodeError) as error:
        raise InputError(
            f"{what}: HF_ENDPOINT {endpoint()!r} or the token in HF_TOKEN is malformed."
        ) from error
    except (httpx2.TransportError, ConnectionError) as error:
        if isinstance(error, HubUnavailable):
            raise
        raise HubUnavailable(_away(what, error)) from error


def _away(what: str, error: BaseException) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return (
        f"{what}: the Hub at {endpoint()} did not answer ({reason}). Check HF_ENDPOINT and the "
        "network, then run the same command again: finished stages stay finished."
    )


def _refused(what: str, status: int, error: Exception) -> str:
    if status == 401:
        return (
            f"{what}: the Hub at {endpoint()} refused the token (401). "
            "Set HF_TOKEN to a valid token, or log in with `hf auth login`."
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
    return f"{what}: the Hub refused ({status}): {str(error).splitlines()[0]}"
