"""Does a row hold an access token: a key to somebody's account?

in   Pairs
out  finding "access_tokens". It never shows one: of a token only its first four characters

The detectors are detect-secrets' (https://github.com/Yelp/detect-secrets), those that know a token
by its form. They are slow, so that `SIGNS` first picks the texts that can hold one at all.
Left out: the guesses by entropy or by a keyword before an assignment, which alarm on ordinary code
in answers; passwords in addresses (`https://user:password@host` is how answers explain them);
addresses of machines, which are no tokens.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, ClassVar

import polars as pl

from expectations.measures.measure import RowMeasure
from expectations.measures.pairs import EXCERPT, Pairs
from expectations.measures.rarely import where

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
    "private_key": "PrivateKeyDetector",
    "pypi_token": "PypiTokenDetector",
    "sendgrid": "SendGridDetector",
    "slack": "SlackDetector",
    "square_oauth": "SquareOAuthDetector",
    "stripe": "StripeDetector",
    "telegram_token": "TelegramBotTokenDetector",
    "twilio": "TwilioKeyDetector",
}
# Forms that detect-secrets 1.5 does not know.
FURTHER = {
    "Hugging Face Token": r"\b(?:hf_|api_org_)[A-Za-z0-9]{34}",
    "GitHub Token": r"github_pat_[A-Za-z0-9_]{60}",
    "Anthropic Key": r"sk-ant-[A-Za-z0-9_-]{40}",
    "OpenAI Token": r"sk-proj-[A-Za-z0-9_-]{40}",
}
# One of these is part of every token above. Several patterns, since plain words are looked for much
# faster than classes of characters.
SIGNS = (
    r"AKIA|ASIA|ABIA|ACCA|A3T|AccountKey=|gh[pousr]_|github_pat_|GR1348941"
    r"|glpat-|gldt-|glft-|glsoat-|glrt-|glcbt-|glimt-|glptt-|glagent-|gloas-"
    r"|_authToken=|T3BlbkFJ|PRIVATE KEY|PuTTY-User-Key|pypi-AgE"
    r"|sq0csp-|[rs]k_live_|hf_|api_org_|sk-ant-|sk-proj-|eyJ",
    r"(?:AC|SK)[a-z0-9]{32}",  # Twilio
    r"SG\.[a-zA-Z0-9_-]{22}",  # SendGrid
    r"-us[0-9]",  # Mailchimp
    r"(?i:xox[abpors]-|hooks\.slack\.com)",
    r"""['"][0-9a-zA-Z/+]{40}['"]""",  # the secret half of an AWS key
    r"[MNO][a-zA-Z\d_-]{23,25}\.",  # Discord
    r":[0-9A-Za-z_-]{35}",  # Telegram
)
ANY_SIGN = re.compile("|".join(SIGNS))
# The detectors' patterns take very long over a word of some megabytes (a picture as text): of a
# long text they see what stands around each sign.
LONG = 20_000
BEFORE, AFTER = 200, 4_000
LEAST_KINDS = 8  # characters that differ: `hf_xxxx...` in an answer is a blank to fill in


class AccessTokens(RowMeasure):
    check: ClassVar[str] = "access_tokens"
    title: ClassVar[str] = "access tokens"
    one_sided: ClassVar[bool] = True

    @property
    def promise(self) -> str:
        return "No message holds an access token or a private key."

    @property
    def remedy(self) -> str:
        return (
            "Have the token revoked by its owner, then remove it from these rows: a data set is "
            "published, and a model can be made to say what it was trained on."
        )

    def whys(self) -> Mapping[str, pl.Expr]:
        whys = {}
        for side in ("prompt", "chosen", "rejected"):
            text = pl.col(f"{side}_text")
            perhaps = pl.any_horizontal(text.str.contains(sign) for sign in SIGNS)
            named = text.map_elements(_first, return_dtype=pl.String)
            whys[side] = where(perhaps, pl.format(f"{{}} in {side}", named), f"{side}_text")
        return whys

    def shown(self, pairs: Pairs, rows: pl.DataFrame) -> tuple[dict[str, int | str], ...]:
        return tuple(
            example | {"prompt_end": hidden(str(example["prompt_end"]))}
            for example in pairs.examples(rows, around=lambda _side, text: _around(text))
        )


def tokens(text: str) -> Iterator[tuple[str, int, str]]:
    """(kind, where it begins, the token) for each token of a text."""
    for start, window in _windows(text):
        for kind, pattern, holds in _patterns():
            for match in pattern.finditer(window):
                token = match[0]
                sample = "EXAMPLE" in token or len(set(token)) < LEAST_KINDS
                if not sample and holds(token):
                    yield kind, start + match.start(), token


def _windows(text: str) -> Iterator[tuple[int, str]]:
    if len(text) <= LONG:
        yield 0, text
        return
    for sign in ANY_SIGN.finditer(text):
        start = max(0, sign.start() - BEFORE)
        yield start, text[start : sign.end() + AFTER]


def hidden(text: str) -> str:
    """Every long word cut to four characters, whatever it is."""
    return re.sub(r"(\S{4})\S{8,}", r"\1…", text)


@cache
def _patterns() -> list[tuple[str, re.Pattern[str], Any]]:
    """kind, pattern, whether the detector holds what was matched to be a token."""
    found: list[tuple[str, re.Pattern[str], Any]] = []
    for module, name in DETECTORS.items():
        detector = getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)()

        def holds(token: str, detector: Any = detector) -> bool:
            return any(detector.analyze_string(token))

        found += [(detector.secret_type, pattern, holds) for pattern in detector.denylist]
    return found + [(kind, re.compile(pattern), bool) for kind, pattern in FURTHER.items()]


def _first(text: str) -> str | None:
    return next((f"{kind} {token[:4]}…" for kind, _, token in tokens(text)), None)


def _around(text: str) -> str:
    at = next((at for _, at, _ in tokens(text)), 0)
    start = max(0, at - EXCERPT // 2)
    return hidden(text[start : start + EXCERPT])
