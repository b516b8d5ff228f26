"""No secret in a log: what looks like a token or a password is hidden, whoever writes it.

in   a text; every log record of this process, its traceback with it
out  the same without access tokens, this process' own secrets and passwords in addresses

A record is masked as it comes into being, so that no handler, ours or a library's, sees the secret.
"""

import logging
import os
import re
from typing import Any

from expectations.measures.tokens_in_text import hidden, without_tokens
from tasks.core.errors import InputError, Refused
from tasks.core.hub import HubUnavailable
from tasks.core.known_secrets import PASSWORD, known_secrets

WEBHOOK_URL = "PAIRPRESS_WEBHOOK_URL"  # whoever knows it may post there
SHORT = re.compile(r"\bhf_[A-Za-z0-9]{12,}")  # a Hub of one's own gives other lengths than the Hub
learned: set[str] = set()  # secrets that stand in no variable: of Prefect's blocks


def masked(text: str) -> str:
    """Longer secrets first: one may be the beginning of another."""
    own = {*known_secrets(), *learned, os.environ.get(WEBHOOK_URL, "").strip()} - {""}
    for secret in sorted(own, key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    text = SHORT.sub(lambda found: hidden(found[0]), without_tokens(text))
    return PASSWORD.sub(_without_password, text) if "@" in text else text


def _without_password(found: re.Match[str]) -> str:
    start, end = (at - found.start() for at in found.span("password"))
    return f"{found[0][:start]}[secret]{found[0][end:]}"


def mask_logs() -> None:
    """Every record from now on. Called once a process."""
    make = logging.getLogRecordFactory()
    known_secrets()  # its imports are done before the first record needs it

    def record_of(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        try:
            text = record.getMessage()
        except Exception as error:  # noqa: BLE001  # any: of an argument that cannot be told
            text = f"{record.msg} (its arguments do not fit: {type(error).__name__})"
            record.msg, record.args = text, ()
        if (clean := masked(text)) != text:
            record.msg, record.args = clean, ()
        if record.exc_info and record.exc_info[0]:
            told = logging.Formatter().formatException(record.exc_info)
            if (clean := masked(told)) != told:
                record.exc_text = clean  # what formatters take instead of asking the error
        return record

    logging.setLogRecordFactory(record_of)


def safe_error(error: Exception) -> Exception:
    """One that may be shown and pickled: Prefect keeps its words in the state of a run, and all of
    it in a result. What holds more than words and numbers, such as a request with its headers, or
    a secret, becomes one of words alone; ours stay of their kind, as retries and exit codes ask.
    """
    words = str(error)
    plain = all(one is None or isinstance(one, str | int | float) for one in error.args)
    plain = plain and not vars(error) and bool(error.args or not words)
    told = f"{words} {error.args}"
    if plain and masked(told) == told:
        return error
    if isinstance(error, InputError | Refused | HubUnavailable):
        safe: Exception = type(error)(masked(words))
    else:
        safe = RuntimeError(masked(f"{type(error).__name__}: {words}"))
    safe.__cause__, safe.__suppress_context__ = error.__cause__, True
    return safe.with_traceback(error.__traceback__)
