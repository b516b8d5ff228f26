"""Access tokens in a text: by their form, and those that this process itself holds in any form.

in   a text, the secrets of this process
out  on which line one stands, of what kind, masked
"""

import os
import re
from collections.abc import Iterable, Iterator

from expectations.measures.tokens_in_text import hidden, tokens

SECRET_NAME = re.compile(
    r"(TOKEN|API_KEY|SECRET|SECRET_ACCESS_KEY|PASSWORD|AUTH_STRING)$", re.IGNORECASE
)
LEAST_SECRET = 12  # characters; a shorter value of such a variable is a word
# What only its surroundings tell: of texts, since answers explain such addresses by samples.
PASSWORD = re.compile(
    r"\b(?P<to>[a-z][a-z0-9+.-]{1,15}://[^\s/:@\"'<>]{0,80}):(?P<password>[^\s/\"'<>{}$*]+)@\w",
    re.IGNORECASE,
)
SAMPLES = re.compile(r"(your)?[-_]?(pass(word|wd)?|pw|pwd|secret|token|key)|x+|\.+", re.IGNORECASE)
WANDB = re.compile(
    r"wandb[_-]?(?:api[_-]?)?(?:key|token)[\"']?\s*[:=]\s*[\"']?([0-9a-f]{40})(?![0-9a-f])",
    re.IGNORECASE,
)
ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
ESCAPED = {"n": " ", "t": " ", "r": " ", "b": " ", "f": " "}  # a space: lines stay lines


def known_secrets() -> frozenset[str]:
    """What this process itself keeps secret, whatever its form: tokens and keys around it."""
    from huggingface_hub import get_token

    around = {value.strip() for name, value in os.environ.items() if SECRET_NAME.search(name)}
    return frozenset(value for value in {*around, get_token() or ""} if len(value) >= LEAST_SECRET)


def secrets_in(text: str, secrets: Iterable[str]) -> list[tuple[int, str]]:
    """(line, counted from 0, and what it is) of each, a key of many lines by its first.

    Also behind an escape, as in the \\n of a program: a letter before it would hide a token.
    """
    found: dict[tuple[int, str], str] = {}  # another kind of the same token says no more
    for one in dict.fromkeys((text, ESCAPE.sub(_character, text))):
        for kind, start, end in tokens(one):
            found.setdefault((one.count("\n", 0, start), hidden(one[start:end])), kind)
        for secret in secrets:
            if (start := one.find(secret)) >= 0:
                said = "a secret of this process"
                found.setdefault((one.count("\n", 0, start), hidden(secret)), said)
    return [(line, f"{kind} {shown}") for (line, shown), kind in found.items()]


def assigned_in(line: str) -> Iterator[tuple[str, str | None]]:
    """(what it is, as it stands there where it may be a quotation) of each in a line of a text."""
    for found in PASSWORD.finditer(line):
        if not SAMPLES.fullmatch(found["password"]):
            yield f"a password in the address {found['to']}:…@", found[0]
    for found in WANDB.finditer(line):
        yield f"Weights & Biases Key {hidden(found[1])}", None


def unescaped(text: str) -> str:
    """As JSON and most programs write a character, the character itself."""
    return ESCAPE.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    code, one = found.groups()
    character = chr(int(code, 16)) if code else ESCAPED.get(one, one)
    return " " if character == "\n" else character
