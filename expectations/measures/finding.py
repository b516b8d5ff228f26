"""What a check hands back: one finding, the same for a terminal, a CI log and a Data Docs page.

in   what a measure counted in a set of pairs
out  Finding: passed or not, the numbers, the bar they were held to, the rows, a remedy
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["critical", "warning"]
Number = float | int | str


@dataclass(frozen=True)
class Finding:
    check: str  # "turn_order", "S1": the name a suite asks for
    title: str  # the check in three or four words
    promise: str  # what must be true, as a sentence for people
    severity: Severity  # critical: nothing is trained on a set that breaks it; warning: reported
    passed: bool
    number: str  # what was seen, in one phrase: "4 rows (0.2 %)"
    threshold: str  # what it was held to
    observed: dict[str, Number]
    remedy: str
    rows: dict[str, list[int]] = field(default_factory=dict)  # split -> row numbers, at most ROWS
    examples: tuple[dict[str, int | str], ...] = ()  # split, row, why, prompt_end, chosen, rejected
    details: dict[str, Any] = field(default_factory=dict)  # what a picture is drawn from; JSON

    @property
    def gates(self) -> bool:
        return not self.passed and self.severity == "critical"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; `Finding.from_dict` reads it back."""
        return asdict(self) | {"examples": [dict(example) for example in self.examples]}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Finding":
        return cls(**(fields | {"examples": tuple(fields["examples"])}))
