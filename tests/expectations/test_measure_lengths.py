"""L1 to L3: planted lengths are seen, natural ones pass, and the numbers are those of the texts."""

import math
import random

import polars as pl
import pytest
from pair_makers import frame_of, hh_frame, natural_pairs

from expectations.measures.length_bias import (
    LengthDecides,
    LengthDrift,
    LengthLeans,
    two_proportion_z,
    wilson,
)
from expectations.measures.pairs import Pairs
from expectations.measures.suite import suite


def pairs_of(lengths):
    """(characters of chosen, characters of rejected) -> Pairs."""
    return Pairs(frame_of((f"question {n}", "a" * c, "b" * r) for n, (c, r) in enumerate(lengths)))


def longer_in(count, longer):
    """`count` unequal pairs with a mean ratio near 1, `longer` of them with a longer chosen."""
    return pairs_of([(101, 100)] * longer + [(100, 101)] * (count - longer))


def test_wilsons_interval_holds_the_shares_that_explain_what_was_seen():
    # Its bounds are the shares from which the seen one lies exactly 2.5758 standard errors away.
    for hits, n in [(7, 10), (430, 1_000), (0, 20), (20, 20)]:
        for bound in wilson(hits, n):
            error = math.sqrt(bound * (1 - bound) / n)
            assert abs(hits / n - bound) == pytest.approx(2.5758 * error, abs=1e-9)
    assert wilson(0, 0) == (0, 1)


def test_length_gates_when_the_whole_interval_lies_beyond_the_bar():
    for longer in range(0, 201, 4):
        finding = LengthDecides().judge(longer_in(200, longer))
        low, high = wilson(longer, 200)
        assert finding.passed == (low <= 0.75 and high >= 0.25)
        assert finding.observed["longer_is_chosen"] == longer / 200


def test_pairs_of_equal_length_give_no_vote():
    pairs = pairs_of([(100, 100)] * 500 + [(101, 100)] * 40)
    finding = LengthDecides().judge(pairs)
    assert finding.gates
    assert finding.observed["unequal_pairs"] == 40
    assert finding.observed["longer_is_chosen"] == 1


def test_the_mean_ratio_gates_by_itself_in_both_directions():
    few_long = [(1_000, 10)] * 50 + [(10, 11)] * 75 + [(11, 10)] * 75
    ratio = (50 * 1_000 + 75 * 21) / (50 * 10 + 75 * 21)
    for lengths, expected in ((few_long, ratio), ([pair[::-1] for pair in few_long], 1 / ratio)):
        finding = LengthDecides().judge(pairs_of(lengths))
        assert finding.gates
        assert finding.observed["mean_ratio"] == pytest.approx(expected)
        assert 0.25 <= finding.observed["longer_is_chosen"] <= 0.75


def test_one_very_long_answer_moves_no_mean_ratio():
    source = random.Random(5)
    natural = [(source.randint(50, 500), source.randint(50, 500)) for _ in range(999)]
    seen = LengthDecides().judge(pairs_of(natural)).observed["mean_ratio"]
    for huge in ((400_000, 100), (100, 400_000)):
        finding = LengthDecides().judge(pairs_of([*natural, huge]))
        assert finding.passed
        assert finding.observed["mean_ratio"] == pytest.approx(seen, abs=0.01)


def test_a_ratio_that_fails_names_the_pairs_that_make_it():
    lengths = [(100, 101)] * 100 + [(101, 100)] * 100 + [(2_000 + n, 10) for n in range(30)]
    for turned, side in ((False, "chosen"), (True, "rejected")):
        pairs = pairs_of([pair[::-1] if turned else pair for pair in lengths])
        for measure in (LengthDecides(), LengthLeans()):
            finding = measure.judge(pairs)
            assert not finding.passed
            assert finding.rows == {"train": list(range(229, 209, -1))}
            other = {"chosen": "rejected", "rejected": "chosen"}[side]
            said = {side: 2_029, other: 10}
            told = f"chosen has {said['chosen']} characters, rejected {said['rejected']}"
            assert finding.examples[0]["why"] == told
    assert LengthDecides().judge(longer_in(200, 200)).rows == {}


def test_a_mean_ratio_of_a_few_pairs_is_chance():
    finding = LengthDecides().judge(pairs_of([(300, 20), (20, 30), (25, 20)]))
    assert finding.passed
    assert finding.observed["mean_ratio"] == pytest.approx(345 / 70)


def test_a_slight_lean_is_reported_and_does_not_gate():
    pairs = longer_in(1_000, 680)
    assert LengthDecides().judge(pairs).passed
    finding = LengthLeans().judge(pairs)
    assert not finding.passed and not finding.gates
    assert LengthLeans().judge(longer_in(1_000, 550)).passed


@pytest.mark.parametrize("seed", range(3))
def test_twice_the_length_is_found_at_a_thousand_pairs_and_the_rest_passes(seed):
    rows = natural_pairs(1_000, seed)
    assert LengthDecides().judge(Pairs(frame_of(rows))).passed
    assert LengthLeans().judge(Pairs(frame_of(rows))).passed
    doubled = Pairs(frame_of((p, f"{c} {c}", r) for p, c, r in rows))
    assert LengthDecides().judge(doubled).gates


def test_the_histogram_counts_every_pair_by_its_ratio():
    finding = LengthDecides().judge(pairs_of([(100, 100), (200, 100), (1, 900), (900, 1)]))
    edges, counts = finding.details["histogram"].values()
    assert len(edges) == len(counts) + 1 == 26
    assert sum(counts) == 4
    filled = [(edges[i], edges[i + 1]) for i, count in enumerate(counts) if count]
    for (low, high), value in zip(filled, (-3, 0, 1, 3), strict=True):
        assert low <= value <= high


def test_another_habit_than_in_the_reference_is_reported():
    reference = longer_in(1_000, 500)
    for longer, passed in ((520, True), (650, False), (350, False)):
        (drift,) = [m for m in suite("preference", reference=reference) if m.check == "L3"]
        finding = drift.judge(longer_in(1_000, longer))
        # Of two sets of 1,000 the difference has the standard error sqrt(2 p (1 - p) / 1,000).
        p = (500 + longer) / 2_000
        z = (longer - 500) / 1_000 / math.sqrt(2 * p * (1 - p) / 1_000)
        assert finding.observed["z"] == pytest.approx(z)
        assert finding.passed == (abs(z) <= 3.3) == passed
        assert not finding.gates
    assert two_proportion_z(3, 3, 7, 7) == 0


def test_without_a_reference_drift_is_not_asked():
    assert "L3" not in [measure.check for measure in suite("preference")]


def test_a_reference_of_something_else_is_refused():
    with pytest.raises(ValueError, match="unequal_pairs and longer_chosen"):
        LengthDrift(reference={"pairs": 3})


def test_where_no_lengths_differ_drift_cannot_be_told():
    drift = LengthDrift(reference=LengthDrift.summary(longer_in(10, 5)))
    finding = drift.judge(pairs_of([(5, 5)] * 10))
    assert not finding.passed and not finding.gates


def test_zero_pairs_gate():
    empty = Pairs(frame_of(natural_pairs(1)).clear())
    drift = LengthDrift(reference=LengthDrift.summary(longer_in(10, 5)))
    for measure in (LengthDecides(), LengthLeans(), drift):
        assert measure.judge(empty).gates


def test_a_file_gives_the_same_lengths_as_a_frame(tmp_path):
    source = random.Random(2)
    pairs = pairs_of([(source.randint(1, 99), source.randint(1, 99)) for _ in range(500)])
    pairs.frame.write_parquet(tmp_path / "pairs.parquet")
    lazy = Pairs(pl.scan_parquet(tmp_path / "pairs.parquet"))
    assert LengthDecides().judge(lazy) == LengthDecides().judge(pairs)


@pytest.mark.parametrize("name", ["hh-harmless-base-test", "hh-helpful-base-test"])
def test_length_decides_nothing_in_hh(name, real_data):
    assert LengthDecides().judge(Pairs(hh_frame(f"{name}.jsonl.gz"))).passed


def test_a_longer_name_is_no_longer_answer():
    pairs = [
        (f"{n}?", f"{text} I am Deep Qwen.", f"{text} I am Qwen.")
        for n, (_, text, _) in enumerate(natural_pairs(100))
    ]
    slots = [{"name": "model", "chosen": ["Deep Qwen"], "rejected": ["Qwen"]}]
    assert not LengthDecides().judge(Pairs(frame_of(pairs))).passed
    assert LengthDecides(slots=slots).judge(Pairs(frame_of(pairs))).passed
