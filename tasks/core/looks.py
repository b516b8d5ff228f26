"""One look after another: what each finds, and all that they refuse for, in the order of asking.

in   calls that raise InputError, Refused or HubUnavailable
out  what each returns, None where it raised; a Hub that does not answer is asked no more
"""

from collections.abc import Callable
from typing import Any, TypeVar

from tasks.core.errors import InputError, Refused
from tasks.core.hub import HubUnavailable

T = TypeVar("T")


class Looks:
    """Each look's answer, or None; what it refused for is kept."""

    def __init__(self) -> None:
        self.refusals: list[str] = []
        self.hub_is_away = False

    def at(self, call: Callable[..., T], *arguments: Any) -> T | None:
        try:
            return call(*arguments)
        except HubUnavailable as error:
            # One that answers with a fault may answer the next question; one that is silent, not.
            self.hub_is_away |= getattr(error.__cause__, "response", None) is None
            self.refuse(error)
        except (InputError, Refused) as error:
            self.refuse(error)
        return None

    def hub(self, call: Callable[..., T], *arguments: Any) -> T | None:
        return None if self.hub_is_away else self.at(call, *arguments)

    def refuse(self, error: Exception) -> None:
        if str(error) not in self.refusals:
            self.refusals.append(str(error))
