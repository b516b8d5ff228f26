"""Pairs -> findings of the expectation suite's measures, and the sentences they are told in.

in   rows with "prompt", "chosen", "rejected"; the two names of an identity recipe
out  one Finding for each check asked; neither Prefect nor Great Expectations is imported
"""

from collections.abc import Iterable

from expectations.measures.finding import Finding
from expectations.measures.identity import Slot
from expectations.measures.suite import Asked, suite


def asked_of(names: tuple[str, str] | None, max_length: int | None) -> list[Asked]:
    """The suite for (old, new) names, or for preference pairs without any."""
    if names is None:
        return suite("preference", max_length=max_length)
    old, new = names
    slots: list[Slot] = [{"name": "name", "chosen": [new], "rejected": [old]}]
    return suite("identity", max_length=max_length, slots=slots)


def sentences(findings: Iterable[Finding]) -> list[str]:
    """One line a finding; a failed one goes on with its rows and what to do."""
    lines = []
    for one in findings:
        numbers = ", ".join(f"{key} {_number(value)}" for key, value in one.observed.items())
        word = "passed" if one.passed else "FAILED" if one.severity == "critical" else "warning"
        line = f"{word} {one.check}: {one.promise} ({numbers}; allowed: {one.threshold})"
        if not one.passed:
            rows = ", ".join(f"row {e.get('row')}: {e.get('why', '')}" for e in one.examples)
            line += f" [{rows}] {one.remedy}"
        lines.append(line)
    return lines


def _number(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
