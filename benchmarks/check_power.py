"""How much do the checks see, and how often do they cry wolf?

    python benchmarks/check_power.py 1000       measures one part: 100, 1000, 10000 or halves
    python benchmarks/check_power.py            prints the table of all parts measured so far

in   ../shared/data, faults.py, renames.py
out  .pairpress/power/PART.json; Markdown on standard output

Recall: for a check of single rows, planted rows that it names / planted rows; for a check of the
whole set, draws in which it fails and names what was planted / draws. A part runs all draws of one
size; "halves" are random halves of each real file, with published and with tossed labels.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import faults
import renames
from clean_pairs import FILES, PUBLISHED_LABELS, Draw, Pair, clean, frame_of, published, tossed
from planting import OF_MARKERS, OF_ROWS, OF_TEST_ROWS, ONE, Fault

from expectations.measures.finding import Finding
from expectations.measures.pairs import Pairs
from expectations.measures.suite import run, suite

RESULTS = Path(__file__).resolve().parents[1] / ".pairpress" / "power"
FAULTS = [*faults.FAULTS, *renames.FAULTS]
SEEDS = {100: 20, 1_000: 10, 10_000: 2}  # draws of each fault: a large set varies less
CLEAN = {100: 200, 1_000: 100, 10_000: 20}  # clean draws, and half as many clean renames
PARTS = (*SEEDS, "halves")
HALVES = 60  # draws of each file
FRESH = 40_000  # first seed: thresholds were set, and p of S1 to S4 corrected, on seeds below it

# Half of the draws of up to 1,000 pairs come from a file on which no threshold was chosen.
BASES = (("hh-harmless", "hh-helpful", "ultrafeedback", "dpo-en-demo"), ("identity-multiturn",))


def drawn(draw: Draw, size: int, seed: int, what: str) -> list[Pair]:
    source = Random(f"{what} {size} {seed}")
    if draw is tossed and size <= min(len(clean(*base)) for base in BASES):
        return tossed(size, source, *BASES[seed % len(BASES)])
    return draw(size, source)


def judged(
    pairs: list[Pair],
    checks: tuple[str, ...] = (),
    reference: list[Pair] | None = None,
    identity: bool = False,
) -> list[Finding]:
    """The findings of these checks, all of the suite by default."""
    asked = suite(
        "identity" if identity else "preference",
        slots=renames.SLOTS if identity else (),
        reference=Pairs(frame_of(reference)) if reference else None,
    )
    wanted = [measure for measure in asked if not checks or measure.check in checks]
    return run(Pairs(frame_of(pairs)), wanted)


def recall(fault: Fault, size: int, share: float, seeds: range) -> dict[str, float]:
    """Check -> recall, for the checks of this fault."""
    seen: Counter[str] = Counter()
    expected = 0
    for seed in seeds:
        clean_pairs = drawn(fault.draw, size, seed, f"{fault.name} {share}")
        planted, rows = fault.plant(clean_pairs, Random(f"plant {seed}"), share)
        reference = drawn(tossed, size, seed, "reference") if fault.against else None
        findings = judged(planted, fault.checks, reference, fault.draw is renames.renamed)
        expected += len(rows) if fault.by_row else 1
        for finding in findings:
            if fault.by_row:
                named = {row for numbers in finding.rows.values() for row in numbers}
                seen[finding.check] += len(rows & named)
            else:
                seen[finding.check] += shows(finding, fault.seen_as)
    return {check: seen[check] / expected for check in fault.checks}


def shows(finding: Finding, seen_as: str) -> bool:
    found = finding.observed
    names = f"{found.get('kind')}: {found.get('feature')}, {found.get('more_features')}"
    return not finding.passed and seen_as in names


def measure(size: int) -> dict[str, Any]:
    measured = []
    for fault in FAULTS:
        for share in fault.shares:
            started = time.perf_counter()
            seen = recall(fault, size, share, range(FRESH, FRESH + SEEDS[size]))
            measured.append({"fault": fault.name, "share": share, "recall": seen})
            print(
                f"{fault.name} {share} {seen} {time.perf_counter() - started:.1f} s",
                file=sys.stderr,
            )
    draws = {
        "tossed": (partial(drawn, tossed, size, what="clean"), False, CLEAN[size]),
        "renamed": (partial(drawn, renames.renamed, size, what="clean"), True, CLEAN[size] // 2),
    }
    alarms = {}
    for name, (make, identity, count) in draws.items():
        alarms[name] = false_alarms(
            (make(seed=seed), make(seed=seed, what="reference"), identity)
            for seed in range(FRESH, FRESH + count)
        )
    return {"faults": measured, "clean": alarms}


def measure_halves() -> dict[str, Any]:
    def halves(name: str, draw: Draw) -> Iterator[tuple[list[Pair], list[Pair], bool]]:
        half = len(clean(name)) // 2
        for seed in range(FRESH, FRESH + HALVES):
            both = draw(2 * half, Random(f"halves {name} {seed}"), name)
            yield both[:half], both[half:], False

    alarms = {}
    for name in PUBLISHED_LABELS:
        alarms[f"{name}, published labels"] = false_alarms(halves(name, published))
    for name in FILES:
        alarms[f"{name}, tossed labels"] = false_alarms(halves(name, tossed))
    return {"faults": [], "clean": alarms}


def false_alarms(draws: Iterator[tuple[list[Pair], list[Pair], bool]]) -> dict[str, Any]:
    """Draws, those in which any gate fell, and for each check the draws in which it failed."""
    count, any_gate = 0, 0
    gates: Counter[str] = Counter()
    reports: Counter[str] = Counter()
    for pairs, reference, identity in draws:
        findings = judged(pairs, reference=reference, identity=identity)
        count += 1
        any_gate += any(finding.gates for finding in findings)
        gates.update(finding.check for finding in findings if finding.gates)
        reports.update(f.check for f in findings if not f.passed and not f.gates)
    print(f"clean {count} {any_gate} {gates} {reports}", file=sys.stderr)
    return {"draws": count, "any_gate": any_gate, "gates": gates, "reports": reports}


def table(parts: dict[str, dict[str, Any]]) -> str:
    sizes = [int(part) for part in parts if part != "halves"]
    found = {
        (entry["fault"], entry["share"], check, size): recall
        for size in sizes
        for entry in parts[str(size)]["faults"]
        for check, recall in entry["recall"].items()
    }

    def cell(fault: Fault, share: float, check: str) -> str:
        recalls = [found.get((fault.name, share, check, size)) for size in sizes]
        return " / ".join("-" if recall is None else f"{recall:.2g}" for recall in recalls)

    def several(title: str, shares: tuple[float, ...]) -> list[str]:
        """Faults that were planted at the same shares: a column for each."""
        some, always = [], []
        for fault in (fault for fault in FAULTS if fault.shares == shares):
            for check in fault.checks:
                cells = [cell(fault, share, check) for share in shares]
                if set("".join(cells)) <= set("1 /"):
                    always.append(f"{fault.name} ({check})")
                else:
                    some.append(f"| {fault.name} | {check} | {' | '.join(cells)} |")
        if always:
            some += ["", f"All of them, at every share and size: {', '.join(always)}."]
        return [title, "", *headed("fault", "check", *map(of, shares)), *some, ""]

    def whole() -> list[str]:
        some = [
            f"| {fault.name} | {of(share)} | {check} | {cell(fault, share, check)} |"
            for fault in FAULTS
            for share in fault.shares
            if len(fault.shares) == 1 and not fault.unseen
            for check in fault.checks
        ]
        return ["In the whole set:", "", *headed("fault", "rows", "check", "recall"), *some, ""]

    def unseen() -> list[str]:
        some = [
            f"| {fault.name} | {of(share)} | "
            f"{' | '.join(cell(fault, share, check) for check in faults.SHORTCUTS)} |"
            for fault in FAULTS
            for share in fault.shares
            if len(fault.shares) == 1 and fault.unseen
        ]
        return ["What cannot be seen:", "", *headed("fault", "rows", *faults.SHORTCUTS), *some, ""]

    of_sizes = " / ".join(f"{size:,}" for size in sizes)
    draws = " / ".join(str(SEEDS[size]) for size in sizes)
    return "\n".join(
        [
            f"Recall at {of_sizes} pairs, over {draws} draws.",
            "",
            *several("A word or a habit on one side, planted in a share of the rows:", OF_MARKERS),
            *whole(),
            *unseen(),
            *several("In single rows; planted rows that are named:", OF_ROWS),
            *several("Between splits, in a share of the test rows:", OF_TEST_ROWS),
            *goals(parts),
            *alarms(parts),
        ]
    )


def headed(*columns: str) -> list[str]:
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


def of(share: float) -> str:
    return "1 row" if share == ONE else "all" if share == 1 else f"{100 * share:g} %"


def goals(parts: dict[str, dict[str, Any]]) -> list[str]:
    """What must have a recall of 1 at 1,000 pairs, and has less."""
    measured = parts.get("1000", {"faults": []})["faults"]
    asked = [(fault.name, share, check) for fault in FAULTS for share, check in must_be_seen(fault)]
    missed = [
        f"- {entry['fault']}, {of(entry['share'])}: {check} {recall:.2g}"
        for entry in measured
        for check, recall in entry["recall"].items()
        if (entry["fault"], entry["share"], check) in asked and recall < 1
    ]
    return ["At 1,000 pairs these goals of recall 1 are missed:", "", *(missed or ["none"]), ""]


def must_be_seen(fault: Fault) -> list[tuple[float, str]]:
    """(share, check): markers in a tenth of the rows, broken rows in any, answers twice as long."""
    if fault.shares == OF_MARKERS and not fault.natural:
        return [(0.10, check) for check in fault.checks if check in ("S1", "S2")]
    if fault.by_row and not fault.unseen:
        gates = ("T1", "P1", "P2", "P3", "D1", "N1", "I1")
        return [
            (share, check) for share in fault.shares for check in fault.checks if check in gates
        ]
    return [(1.0, "L1")] if fault.name == "chosen twice as long" else []


def alarms(parts: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        "False alarms: clean draws in which a check failed.",
        "",
        *headed("clean pairs", "draws", "any gate", "gates", "reports"),
    ]
    for part, measured in parts.items():
        for name, seen in measured["clean"].items():
            what = f"half of {name}" if part == "halves" else f"{name}, {int(part):,} pairs"
            lines.append(
                f"| {what} | {seen['draws']} | {seen['any_gate']} | "
                f"{counts(seen['gates'])} | {counts(seen['reports'])} |"
            )
    every = [seen for part in parts.values() for seen in part["clean"].values()]
    draws, fell = (sum(seen[key] for seen in every) for key in ("draws", "any_gate"))
    return [
        *lines,
        "",
        f"Any gate, over all clean draws: {fell} of {draws:,} ({fell / draws:.2%}).",
    ]


def counts(of_check: dict[str, int]) -> str:
    return ", ".join(f"{check} {count}" for check, count in sorted(of_check.items())) or "none"


def main() -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    for part in sys.argv[1:]:
        measured = measure_halves() if part == "halves" else measure(int(part))
        (RESULTS / f"{part}.json").write_text(json.dumps(measured, indent=1))
    if not sys.argv[1:]:
        paths = [RESULTS / f"{part}.json" for part in PARTS]
        found = {path.stem: json.loads(path.read_text()) for path in paths if path.exists()}
        if not found:
            parts = ", ".join(map(str, PARTS))
            raise SystemExit(f"nothing is measured yet: give one or more of {parts}")
        print(table(found))


if __name__ == "__main__":
    main()
