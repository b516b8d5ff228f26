"""What a benchmark hands to run_all.py, beside what it prints: one section of docs/benchmarks.md.

in   the figures of one benchmark, each of a run that took place
out  FILE.json, where it was called with `--json FILE`
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Goal:
    what: str  # as one would say it: at least 6 times TRL's defaults
    got: str  # as measured, with its range
    met: bool
    why: str = ""  # where it was missed: what a profile says


@dataclass(frozen=True)
class Section:
    title: str
    text: str  # what was measured, on what, how often
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    goals: Sequence[Goal] = ()
    # For the chart: what is how many times as fast as its baseline, a value for each turn.
    ratios: dict[str, list[float]] = field(default_factory=dict)
    after: str = ""  # what to know when reading the table

    def write(self, path: Path | None) -> None:
        if path is not None:
            path.write_text(json.dumps(asdict(self), indent=1))


def ratios(baseline: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Turn by turn: how many times the baseline's seconds are ours."""
    return [one / other for one, other in zip(baseline, ours, strict=True)]


def told(values: Sequence[float], digits: int = 2, unit: str = "") -> str:
    """Median and range: 2.84 (2.35 to 3.02)."""
    middle, low, high = (
        f"{value:,.{digits}f}" for value in (statistics.median(values), min(values), max(values))
    )
    return f"{middle}{unit} ({low} to {high})"
