"""Access tokens in a text: found by their form, and hidden wherever a text is shown.

in   texts
out  `tokens`, what is found and where; `without_tokens`, the text without them; `SIGNS`, a quick
     first look. A token is shown as its first four characters and four of a checksum, which tell
     whether two rows hold the same one and nothing more

The detectors are detect-secrets' (https://github.com/Yelp/detect-secrets), those that know a token
by its form. They are slow to import and to run, so that `SIGNS` first picks the texts that can hold
a token at all.
Left out: the guesses by entropy or by a keyword before an assignment, which alarm on ordinary code
in answers; passwords in addresses (`https://user:password@host` is how answers explain them);
addresses of machines, which are no tokens.
"""

import importlib
import re
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import polars as pl

DETECTORS = {
    "aws": "AWSKeyDetector",
    "azure_storage_key": "AzureStorageKeyDetector",
    "discord": "DiscordBotTokenDetector",
    "github_token": "GitHubTokenDetector",
    "gitlab_token": "GitLabTokenDetector",
    "jwt": "JwtTokenDetector",
    "mailchimp": "MailchimpDetector",
    "npm": "NpmDetector",
    "openai": "OpenAIDetector",
    "pypi_token": "PypiTokenDetector",
    "sendgrid": "SendGridDetector",
    "slack": "SlackDetector",
    "square_oauth": "SquareOAuthDetector",
    "stripe": "StripeDetector",
    "telegram_token": "TelegramBotTokenDetector",
    "twilio": "TwilioKeyDetector",
}
# Lines of base64, whatever stands between them: line breaks, also as JSON writes them, quotes and
# the marks of a comment. What follows a key in prose is not its line.
KEY_LINES = r"""(?:[A-Za-z0-9+/=]{40,}(?:\\[nr]|[\s\\>#*|"',;])*)+[A-Za-z0-9+/]*={0,2}"""
# Forms that detect-secrets 1.5 does not know, or knows by their first line alone.
FURTHER = {
    "Hugging Face Token": r"\b(?:hf_|api_org_)[A-Za-z0-9]{34}",
    "GitHub Token": r"github_pat_[A-Za-z0-9_]{60}",
    "Anthropic Key": r"sk-ant-[A-Za-z0-9_-]{40}",
    "OpenAI Token": r"sk-proj-[A-Za-z0-9_-]{40}",
    "Google Key": r"\bAIza[0-9A-Za-z_-]{35}",
    "NPM tokens": r"\bnpm_[A-Za-z0-9]{36}",
    "Private Key": r"-----BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?!-----)[\s\S]){0,300}?" + KEY_LINES,
    "PuTTY Key": r"PuTTY-User-Key-File-[0-9][\s\S]{0,4000}?Private-Lines: [0-9]{1,4}\s{1,4}"
    + KEY_LINES,
}
# One of these is part of every token above. Several patterns, since plain words are looked for much
# faster than classes of characters.
SIGNS = (
    r"AKIA|ASIA|ABIA|ACCA|A3T|AccountKey=|gh[pousr]_|github_pat_|GR1348941"
    r"|glpat-|gldt-|glft-|glsoat-|glrt-|glcbt-|glimt-|glptt-|glagent-|gloas-"
    r"|_authToken=|T3BlbkFJ|PRIVATE KEY|PuTTY-User-Key|pypi-AgE"
    r"|sq0csp-|[rs]k_live_|hf_|api_org_|sk-ant-|sk-proj-|eyJ|AIza|npm_",
    r"(?:AC|SK)[a-z0-9]{32}",  # Twilio
    r"SG\.[a-zA-Z0-9_-]{22}",  # SendGrid
    r"-us[0-9]",  # Mailchimp
    r"(?i:xox[abpors]-|hooks\.slack\.com)",
    r"""['"][0-9a-zA-Z/+]{40}['"]""",  # the secret half of an AWS key
    r"[MNO][a-zA-Z\d_-]{23,25}\.",  # Discord
    r":[0-9A-Za-z_-]{35}",  # Telegram
)
SIGN = re.compile("|".join(SIGNS))
# Quicker than any sign: no token does without so many of its characters in a row.
RUN = re.compile(r"[A-Za-z0-9_/+=-]{16}")
# Many tokens are longer than the least that tells them: the signature of a JWT, newer GitHub ones.
REST = re.compile(r"(?:[.~]?[A-Za-z0-9_/+=-]+)*")
# The detectors' patterns take very long over a word of some megabytes (a picture as text): of a
# long text they see what stands around each sign.
LONG = 20_000
BEFORE, AFTER = 4_500, 8_000  # a private key of 8,192 bits has 6,400 characters
SIGN_WITHIN = 200  # characters from the first of a token to the end of its sign

HIDDEN = re.compile("…[0-9a-f]{4}")  # the end of what `hidden` shows

# Blanks to fill in and the samples of documentations, by what follows `ghp_`, `sk-ant-api03-`.
PREFIX = re.compile(r"-----BEGIN[ A-Z0-9]*-----\s*|(?:[A-Za-z0-9]{1,6}[-_])+")
BLANK = re.compile("your|example|token|placeholder|sample|dummy|insert|replace|xxxx", re.IGNORECASE)
BLANK_WITHIN = 60  # in the thousands of characters of a key such a word may stand by chance
LEAST_KINDS = 8  # characters that differ
SAMPLE_JWT = "eyJzdWIiOiIxMjM0NTY3ODkw"  # {"sub":"1234567890 at jwt.io and wherever it was copied


class Token(NamedTuple):
    kind: str
    start: int
    end: int


def perhaps(text: pl.Expr) -> pl.Expr:
    return pl.any_horizontal(text.str.contains(sign) for sign in SIGNS)


def tokens(text: str) -> list[Token]:
    """In the order of the text; of two that overlap, one."""
    found = sorted(
        Token(kind, start + match.start(), _end(text, start + match.end()))
        for start, window in _windows(text)
        for kind, pattern, holds in _patterns()
        for match in pattern.finditer(window)
        if not _is_sample(_secret(match)) and holds(match[0])
    )
    apart: list[Token] = []
    for one in found:
        if apart and one.start < apart[-1].end:
            apart[-1] = apart[-1]._replace(end=max(one.end, apart[-1].end))
        else:
            apart.append(one)
    return apart


def first_token(text: str) -> str | None:
    """ "GitHub Token ghp_…1a2b"."""
    for kind, start, end in tokens(text):
        return f"{kind} {hidden(text[start:end])}"
    return None


def hidden(token: str) -> str:
    return f"{token[:4]}…{zlib.crc32(token.encode()) & 0xFFFF:04x}"


def without_tokens(text: str, start: int = 0, end: int | None = None) -> str:
    """text[start:end] with its tokens hidden, those too that the cut leaves a part of."""
    end = len(text) if end is None else min(end, len(text))
    low = max(0, start - AFTER)
    if not RUN.search(text, low, end + 16) or not SIGN.search(text, low, end + SIGN_WITHIN):
        return text[start:end]
    shown, at = [], start
    for _, first, last in tokens(text[low : end + AFTER]):
        if low + last > start and low + first < end:
            shown += [text[at : low + first], hidden(text[low + first : low + last])]
            at = low + last
    return "".join([*shown, text[at:end]])


def _end(text: str, end: int) -> int:
    rest = REST.match(text, end)
    return end if rest is None else rest.end()


def _windows(text: str) -> Iterator[tuple[int, str]]:
    if len(text) <= LONG:
        yield 0, text
        return
    start = end = 0
    for sign in SIGN.finditer(text):
        if sign.start() - BEFORE > end:
            yield start, text[start:end]
            start = sign.start() - BEFORE
        end = sign.end() + AFTER
    yield start, text[start:end]


def _secret(match: re.Match[str]) -> str:
    """A group where the pattern also matches the name that it is assigned to; else all of it."""
    group = max((group or "" for group in match.groups()), key=len, default="")
    return group if len(group) >= 20 else match[0]


def _is_sample(secret: str) -> bool:
    prefix = PREFIX.match(secret)
    own = secret[prefix.end() :] if prefix else secret
    few = len(set(own)) < LEAST_KINDS
    return few or bool(BLANK.search(own[:BLANK_WITHIN])) or SAMPLE_JWT in secret


@cache
def _patterns() -> list[tuple[str, re.Pattern[str], Callable[[str], bool]]]:
    """kind, pattern, whether what it matched can be one: a JWT holds JSON."""
    found: list[tuple[str, re.Pattern[str], Callable[[str], bool]]] = []
    for module, name in DETECTORS.items():
        detector = getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)()
        holds = getattr(detector, "is_formally_valid", bool)
        found += [(detector.secret_type, pattern, holds) for pattern in detector.denylist]
    return found + [(kind, re.compile(pattern), bool) for kind, pattern in FURTHER.items()]
