"""What the checks must see in 1,000 real pairs; benchmarks/check_power.py measures all of it."""

from pathlib import Path

import pytest
from check_power import FAULTS, drawn, judged, must_be_seen, recall
from clean_pairs import tossed
from planting import ONE, Fault

PAIRS = 1_000
GOALS = [
    pytest.param(fault, share, {check for _, check in must_be_seen(fault)}, id=fault.name)
    for fault in FAULTS
    for share in sorted({share for share, _ in must_be_seen(fault)})
    if share == ONE or not fault.by_row
]


@pytest.mark.parametrize(("fault", "share", "checks"), GOALS)
def test_a_planted_fault_is_seen(
    real_data: Path, fault: Fault, share: float, checks: set[str]
) -> None:
    seen = recall(fault, PAIRS, share, range(1))
    assert {check: seen[check] for check in checks} == dict.fromkeys(checks, 1)


@pytest.mark.parametrize("seed", range(3))
def test_no_gate_falls_on_pairs_whose_sides_were_tossed(real_data: Path, seed: int) -> None:
    findings = judged(drawn(tossed, PAIRS, seed, "test"), reference=drawn(tossed, PAIRS, seed, "x"))
    assert [finding.check for finding in findings if finding.gates] == []
