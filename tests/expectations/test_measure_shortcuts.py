"""S1 to S4: planted markers are named, natural pairs pass, and so do real sets."""

import json
import math
import random

import polars as pl
import pytest
from pair_makers import (
    feature,
    frame_of,
    hh_frame,
    natural_pairs,
    one_sided_feature,
    planted,
    rewritten,
)

from expectations.measures.pairs import Pairs
from expectations.measures.shortcuts import Frequent, NearPerfect, OneSided, Weak

ALL = (OneSided(), NearPerfect(), Frequent(), Weak())


def near_perfect_feature(frame):
    return NearPerfect().judge(Pairs(frame))


def named(finding):
    return [finding.observed["feature"], *str(finding.observed["more_features"]).split(", ")]


def test_a_marker_word_in_a_tenth_of_a_thousand_pairs_is_named_with_its_numbers():
    finding = one_sided_feature(planted(1_000, 0.1, lambda answer: f"{answer} Certainly."))
    assert not finding.passed
    observed = finding.observed
    assert (observed["feature"], observed["kind"]) == ("certainly", "word")
    assert (observed["prompts_only_in_chosen"], observed["prompts_only_in_rejected"]) == (100, 0)
    assert observed["purity"] == 1.0
    assert observed["coverage"] == 0.1
    # Holm multiplies the smallest p by the number of features tested
    tested = observed["features_tested"]
    assert observed["p"] == pytest.approx(tested * 2 * 0.5**100, rel=1e-9)
    assert 0.25 <= observed["excess"] <= 0.6
    detectable = max(10, math.ceil(math.log2(2 * tested / 0.001))) / 1_000
    assert observed["smallest_detectable_share"] == detectable
    assert [example["row"] for example in finding.examples] == [0, 10, 20]
    assert all("certainly" in str(example["why"]) for example in finding.examples)
    assert all("Certainly" in str(example["chosen"]) for example in finding.examples)


@pytest.mark.parametrize(
    ("change", "feature"),
    [
        (lambda answer: answer + " ", "shape: trailing white space"),
        (lambda answer: answer + " \U0001f600", "shape: emoji"),
        (lambda answer: "**Note** " + answer, "shape: bold"),
        (lambda answer: answer.lower(), "shape: lower-case start"),
        *(
            (lambda answer, sign=sign: f"{answer[:3]}{sign}{answer[3:]}", f"shape: {name}")
            for sign, name in (
                ("\u200b", "invisible character"),
                ("\ufeff", "invisible character"),
                ("\u00ad", "invisible character"),
                ("\u2060", "invisible character"),
                ("\t", "tab"),
                ("\u00a0", "no-break space"),
            )
        ),
    ],
)
def test_a_habit_of_layout_in_a_tenth_of_the_chosen_answers_is_named(change, feature):
    finding = one_sided_feature(planted(1_000, 0.1, change))
    kind, _, name = feature.partition(": ")
    worst = (finding.observed["kind"], finding.observed["feature"])
    assert not finding.passed
    assert worst == (kind, name) or feature in named(finding)


def test_up_to_three_features_are_named_with_their_counts():
    def marked(number, answer):
        marks = {"Blorp": 10, "Zork": 20, "Quux": 25, "Fnord": 50}
        said = [word for word, every in marks.items() if number % every == 0]
        return " ".join([answer[:-1], *said]) + answer[-1]

    pairs = [(p, marked(n, c), r) for n, (p, c, r) in enumerate(natural_pairs(1_000))]
    finding = one_sided_feature(frame_of(pairs), coverage=0.02)
    assert finding.number.endswith(
        "features: 'blorp' in 100:0 prompts, 'zork' in 50:0, 'quux' in 40:0"
    )
    alone = one_sided_feature(planted(1_000, 0.1, lambda answer: f"{answer[:-1]} Certainly."))
    assert alone.number == "1 feature: 'certainly' in 100:0 prompts"


def test_the_name_of_a_feature_is_cut_and_its_rows_are_found_all_the_same():
    long = "zebra" * 60
    finding = one_sided_feature(planted(1_000, 0.1, lambda answer: f"{answer[:-1]} {long}."))
    assert finding.observed["feature"] == long[:40] + "…"
    assert long[:41] not in json.dumps(finding.as_dict()["details"]) + finding.number
    assert [example["row"] for example in finding.examples] == [0, 10, 20]


@pytest.mark.parametrize(("share", "rows"), [(0.02, 20), (0.1, 20)])
def test_rows_are_cut_and_it_is_said(share, rows):
    finding = one_sided_feature(planted(1_000, share, lambda answer: f"{answer} Certainly."))
    assert finding.rows == {"train": list(range(0, round(rows / share), round(1 / share)))}
    said = "first 20 rows of 'certainly'" if share > 0.02 else None
    assert finding.observed.get("rows_shown") == said


def test_an_example_shows_the_trailing_space_that_it_is_about():
    finding = one_sided_feature(planted(1_000, 0.1, lambda answer: answer + " "))
    assert finding.observed["feature"] == "trailing white space"
    assert all(str(example["chosen"]).endswith(" ") for example in finding.examples)


def test_an_example_shows_the_part_of_a_long_answer_that_holds_the_word():
    pairs = [(f"question {n}", "so " * 99 + "Zebra " + "so " * 99, "so " * 200) for n in range(40)]
    finding = one_sided_feature(frame_of(pairs))
    assert finding.observed["feature"] == "zebra"
    assert all("Zebra" in str(example["chosen"]) for example in finding.examples)
    assert all(len(str(example["chosen"])) <= 120 for example in finding.examples)


def test_a_word_that_only_rides_on_length_is_no_finding_of_s1():
    # The longer answer is always chosen, and "zebra" stands at the end of much longer ones.
    source = random.Random(1)
    pairs = []
    for number in range(1_000):
        short, long = sorted(source.sample(range(1, 60), k=2))
        end = "zebra" if long - short > 30 else ""
        pairs.append((f"question {number}", "go " * long + end, "go " * short))
    frame = frame_of(pairs)
    zebra = feature(frame, "zebra")
    assert zebra["purity"] == 1.0 and zebra["coverage"] > 0.1 and zebra["p"] < 0.01
    assert zebra["excess"] == pytest.approx(0)
    assert one_sided_feature(frame).passed


def test_s2_finds_what_hides_behind_length():
    frame = frame_of([(f"question {n}", "yes indeed", "no") for n in range(100)])
    assert one_sided_feature(frame).passed  # all of it is explained by length
    finding = near_perfect_feature(frame)
    assert not finding.passed
    assert {"yes", "indeed", "no"} <= set(named(finding))


def test_clean_pairs_with_tossed_sides_pass_both():
    source = random.Random(7)
    pairs = []
    for prompt, one, _ in natural_pairs(1_000):
        marked = one + " Certainly, here you are.\n- a list\n"
        pairs.append((prompt, *source.sample([one, marked], k=2)))
    frame = frame_of(pairs)
    assert one_sided_feature(frame).passed
    assert near_perfect_feature(frame).passed


@pytest.mark.parametrize("seed", range(5))
def test_natural_pairs_pass_both(seed):
    frame = frame_of(natural_pairs(1_000, seed))
    assert one_sided_feature(frame).passed
    assert near_perfect_feature(frame).passed


def test_a_frequent_feature_on_both_sides_is_found_by_s3_alone():
    source = random.Random(3)
    pairs = []
    for prompt, chosen, rejected in natural_pairs(1_000):
        marked = [
            f"{answer} Certainly." if source.random() < share else f"{answer} Possibly."
            for answer, share in ((chosen, 0.60), (rejected, 0.15))
        ]
        pairs.append((prompt, *marked))
    frame = frame_of(pairs)
    assert one_sided_feature(frame).passed
    assert near_perfect_feature(frame).passed
    finding = Frequent().judge(Pairs(frame))
    assert finding.gates
    assert {finding.observed["feature"], *named(finding)} >= {"certainly", "possibly"}
    row = feature(frame, "certainly")
    assert row["accuracy"] == pytest.approx(0.5 + abs(row["b"] - row["E"]) / 1_000)
    assert row["accuracy"] == pytest.approx(0.5 + (0.60 - 0.15) / 2, abs=0.03)


def test_a_weak_or_a_rare_one_sided_feature_is_reported_and_does_not_gate():
    source = random.Random(4)
    weak, rare = [], []
    for number, (prompt, chosen, rejected) in enumerate(natural_pairs(4_000)):
        marked = [
            f"{answer} Certainly." if source.random() < share else f"{answer} Possibly."
            for answer, share in ((chosen, 0.20), (rejected, 0.04))
        ]
        weak.append((prompt, *marked))
        rare.append((prompt, f"{chosen} Zebra." if number % 160 == 0 else chosen, rejected))
    for pairs in (weak, rare):
        frame = frame_of(pairs)
        finding = Weak().judge(Pairs(frame))
        assert one_sided_feature(frame).passed
        assert not finding.passed and not finding.gates
    assert finding.observed["feature"] == "zebra"
    assert finding.observed["prompts_only_in_chosen"] == 4_000 / 160
    assert [example["row"] for example in finding.examples] == [0, 160, 320]


def test_a_picture_gets_the_strongest_features_also_when_nothing_is_found():
    passing = one_sided_feature(frame_of(natural_pairs(400)))
    failing = one_sided_feature(planted(1_000, 0.1, lambda answer: f"{answer} Certainly."))
    for finding in (passing, failing):
        shown = finding.details["features"]
        assert len(shown) == 10
        assert [bar["found"] for bar in shown].count(True) == finding.observed["features_found"]
        assert json.loads(json.dumps(shown)) == shown
    assert failing.details["features"][0]["name"] == "certainly"


def test_zero_pairs_are_a_failure_that_says_so():
    empty = Pairs(frame_of(natural_pairs(1)).clear())
    for measure in ALL:
        finding = measure.judge(empty)
        assert finding.gates
        assert finding.observed == {"pairs": 0}
        assert finding.number == "0 pairs"


@pytest.mark.parametrize("count", [1, 3, 9])
def test_of_a_few_pairs_it_is_said_that_nothing_can_be_seen(count):
    for measure in ALL:
        finding = measure.judge(Pairs(frame_of(natural_pairs(count))))
        assert not finding.passed and not finding.gates
        noun = "pair" if count == 1 else "pairs"
        assert finding.number == f"nothing can be seen in {count} {noun}"
        least = max(10, math.ceil(math.log2(2 / measure.p)))
        assert finding.observed["smallest_detectable_share"] == least / count


def test_pairs_that_are_all_at_fault_are_not_called_clean():
    frame = frame_of(natural_pairs(20)).with_columns(
        faults=pl.lit([{"check": "P1", "side": "chosen", "reason": "empty"}])
    )
    for measure in ALL:
        finding = measure.judge(Pairs(frame))
        assert not finding.passed
        assert finding.number == "nothing can be seen in 0 pairs"


@pytest.mark.parametrize("name", ["hh-harmless-base-test", "hh-helpful-base-test"])
def test_hh_passes_all_gates(name, real_data):
    frame = hh_frame(f"{name}.jsonl.gz")
    assert frame.height > 2_000
    pairs = Pairs(frame)
    assert not [measure.check for measure in ALL if measure.judge(pairs).gates]


def test_ultrafeedback_and_the_dpo_demo_pass_all_gates(real_data):
    lines = (real_data / "ultrafeedback-sample.jsonl").read_text(encoding="utf-8").splitlines()
    ultra = [(r["prompt"], r["chosen"], r["rejected"]) for r in map(json.loads, lines)]
    rows = json.loads((real_data / "dpo-en-demo.json").read_text(encoding="utf-8"))
    demo = [
        (r["conversations"][-1]["value"], r["chosen"]["value"], r["rejected"]["value"])
        for r in rows
    ]
    for rows in (ultra, demo):
        pairs = Pairs(frame_of(rows))
        assert not [measure.check for measure in ALL if measure.judge(pairs).gates]


def test_the_rewritten_instruction_set_is_caught_by_its_adverbs(real_data):
    pairs = Pairs(frame_of(rewritten(real_data)))
    finding = OneSided().judge(pairs)
    assert finding.gates
    assert finding.observed["feature"] == "obviously"
    assert finding.observed["prompts_only_in_chosen"] == 0
    assert finding.observed["prompts_only_in_rejected"] == 218
    assert NearPerfect().judge(pairs).gates
