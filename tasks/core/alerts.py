"""How a run ended, told to a chat: one message to a webhook that takes Slack's form.

in   what ran, its verdict in a sentence, links
out  POST {"text": ...} to the address; its address is a secret and never shown
     https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from collections.abc import Sequence

import httpx2
from pydantic import BaseModel, ConfigDict

from tasks.core.masking import masked

PATIENCE_S = 5.0  # for each of connecting, sending and the answer: a chat is not worth a run
LONGEST = 3_000  # characters of a message; Slack cuts far longer ones


class Alert(BaseModel):
    model_config = ConfigDict(frozen=True)

    what: str  # release-model/nightly
    run: str
    verdict: str
    links: Sequence[tuple[str, str]] = ()  # (what is there, URL)


class NotTold(RuntimeError):
    """The message did not arrive; why, without the address."""


def payload(alert: Alert) -> dict[str, str]:
    """Slack's own signs are written as Slack asks; what looks like a secret is hidden."""
    verdict = masked(alert.verdict)
    verdict = verdict if len(verdict) <= LONGEST else f"{verdict[: LONGEST - 3]}..."
    links = [f"<{_target(masked(url))}|{_plain(masked(name))}>" for name, url in alert.links]
    head = f"*{_plain(masked(alert.what))}* {_plain(masked(alert.run))}: {_plain(verdict)}"
    return {"text": "\n".join([head, *links])}


def post(alert: Alert, url: str) -> None:
    """Raises NotTold; follows no redirect, since the address is a secret."""
    try:
        with httpx2.stream("POST", url, json=payload(alert), timeout=PATIENCE_S) as answer:
            if not answer.is_success:  # its text, however long or slow, says no more
                raise NotTold(f"it answered {answer.status_code}")
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, UnicodeError):  # with the address
        raise NotTold("its address is not a whole one: https://HOST/... is") from None
    except httpx2.HTTPError as error:  # its words may hold the address
        raise NotTold(type(error).__name__) from None


def _target(url: str) -> str:
    """As it may stand before Slack's sign for a name."""
    return url.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E")


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
