"""What a check hands back: one finding, the same for a terminal, a CI log and a Data Docs page.

in   what a measure counted in a frame of pairs
out  Finding: passed or not, the numbers, the bar they were held to, at most three rows, a remedy
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Finding:
    check: str  # "turn_order", "S1": the name a suite asks for
    promise: str  # what must be true, as a sentence for people
    severity: Severity  # critical: nothing is trained on a set that breaks it
    passed: bool
    observed: dict[str, float | int | str]
    threshold: str
    examples: tuple[dict[str, int | str], ...]  # row, why, prompt_end, chosen, rejected
    remedy: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; `Finding.from_dict` reads it back."""
        return asdict(self) | {"examples": [dict(example) for example in self.examples]}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Finding":
        return cls(**(fields | {"examples": tuple(fields["examples"])}))
