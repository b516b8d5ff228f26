"""Findings as a person reads them: their order, their numbers, excerpts of the data.

in   findings, `observed`, examples
out  words; texts whose white space and control characters can be seen
"""

from collections.abc import Mapping, Sequence

from expectations.measures.finding import Finding, Number
from expectations.measures.measure import several
from expectations.measures.pairs import EXCERPT

# The signs that Unicode has for them. A page would swallow the characters, XML forbids most.
CONTROLS = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
SIGNS = str.maketrans(
    CONTROLS | {0x09: "\u21e5", 0x0A: " \u21b5 ", 0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}
)


def word(finding: Finding) -> str:
    if finding.passed:
        return "passed"
    return "FAILED" if finding.gates else "warning"


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """What gates, what is only said, what passed."""
    return sorted(findings, key=lambda one: (one.passed, not one.gates))


def counts(findings: Sequence[Finding], crashed: Mapping[str, str]) -> str:
    """ "12 checks: 1 failed, 2 warnings"."""
    return f"{len(findings) + len(crashed)} checks: {tally(findings, crashed)}"


def tally(findings: Sequence[Finding], crashed: Mapping[str, str]) -> str:
    """ "1 failed, 2 warnings"."""
    gates = sum(one.gates for one in findings)
    warnings = sum(not one.passed for one in findings) - gates
    more = f", {len(crashed)} crashed" if crashed else ""
    return f"{gates} failed, {several(warnings, 'warning')}{more}"


def summary(observed: Mapping[str, Number]) -> str:
    """{"pairs": 1000, "share": 0.0021} -> "pairs: 1,000" and "share: 0.0021", a line each."""
    said = {name.replace("_", " "): shown(v) for name, v in observed.items() if v != ""}
    return "\n".join(f"{name}: {value}" for name, value in said.items())


def shown(value: Number) -> str:
    return f"{value:.3g}" if isinstance(value, float) else visible(value)


def visible(value: Number) -> str:
    """White space at the ends, line ends and control characters as signs."""
    if not isinstance(value, str):
        return f"{value:,}"
    inner = value.strip()
    head, tail = value[: len(value) - len(value.lstrip())], value[len(value.rstrip()) :]
    if not inner:
        head, tail = value, ""
    return (head.replace(" ", "\u2423") + inner + tail.replace(" ", "\u2423")).translate(SIGNS)


def cells(example: Mapping[str, Number]) -> list[str]:
    """Row, why, end of the prompt, chosen, rejected."""
    end = str(example["prompt_end"])
    end = end.lstrip() if len(end) == EXCERPT else end  # white space at a cut says nothing
    values = (str(example["row"]), example["why"], end, example["chosen"], example["rejected"])
    return [visible(value) for value in values]
