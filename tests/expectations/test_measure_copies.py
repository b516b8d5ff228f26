"""P3, duplicates, diversity and N1: rows that repeat, contradict or deny what their scores say."""

import json
from collections import Counter

import polars as pl
import pytest
from pair_makers import frame_of, natural_pairs, user

from expectations.measures import pairs as pairs_module
from expectations.measures.copies import Contradictions, Duplicates
from expectations.measures.diversity import Diversity
from expectations.measures.pairs import Pairs
from expectations.measures.scores import Scores

SYSTEM = {"role": "system", "content": "Be brief."}


def judged(measure, pairs, **columns):
    return measure.judge(Pairs(frame_of(pairs, **columns)))


def test_two_rows_that_swap_their_answers_contradict_each_other():
    pairs = [*natural_pairs(5), ("a", "b", "c"), ("a", "b", "d"), ("a", " c\n", "b")]
    finding = judged(Contradictions(), pairs)
    assert finding.gates and finding.rows == {"train": [5, 7]}
    whys = [example["why"] for example in finding.examples]
    assert whys == ["row 7 prefers the other answer", "row 5 prefers the other answer"]


@pytest.mark.parametrize(
    "other",
    [
        ("a", "b", "c"),
        ("a", "c", "d"),
        ("x", "c", "b"),
        ([SYSTEM, user("a")], "c", "b"),
        ("a", "b", "b"),
    ],
)
def test_what_is_no_contradiction_passes(other):
    assert judged(Contradictions(), [("a", "b", "c"), other]).passed


def test_rows_far_apart_are_compared_too(monkeypatch):
    monkeypatch.setattr(pairs_module, "CHUNK", 2)
    pairs = [("a", "b", "c"), *natural_pairs(7), ("a", "c", "b"), ("a", "b", "c")]
    assert judged(Contradictions(), pairs).rows == {"train": [0, 8, 9]}
    assert judged(Duplicates(), pairs).rows == {"train": [9]}


@pytest.mark.parametrize(("again", "passed"), [(1, True), (2, False)])
def test_duplicates_are_reported_above_one_in_a_hundred(again, passed):
    pairs = natural_pairs(100 - again)
    finding = judged(Duplicates(), pairs + pairs[3 : 3 + again])
    assert finding.passed is passed and not finding.gates
    assert finding.rows == {"train": list(range(100 - again, 100))}
    assert finding.examples[0]["why"] == "the same as row 3"


def test_conversations_that_stand_twice_are_duplicates():
    pairs = [("a", "b", None), ("a", "c", None), ("a", "b", None)]
    assert judged(Duplicates(), pairs).rows == {"train": [2]}


def test_the_duplicate_rows_of_a_real_set_are_found(real_data):
    rows = json.loads((real_data / "dpo-en-demo.json").read_text(encoding="utf-8"))
    roles = {"system": "system", "human": "user", "gpt": "assistant"}
    finding = judged(
        Duplicates(),
        (
            (
                [{"role": roles[t["from"]], "content": t["value"]} for t in row["conversations"]],
                row["chosen"]["value"],
                row["rejected"]["value"],
            )
            for row in rows
        ),
    )
    copies = Counter(json.dumps(row) for row in rows)
    assert finding.observed["rows"] == sum(copies.values()) - len(copies) == 5
    assert not finding.passed


def test_the_repeated_prompts_of_a_real_set_are_counted(real_data):
    rows = json.loads((real_data / "instruction-preference.json").read_text(encoding="utf-8"))
    finding = judged(
        Diversity(),
        ((f"{row['instruction']}\n{row['input']}", row["chosen"], row["rejected"]) for row in rows),
    )
    assert finding.passed
    assert finding.observed["repeated_prompts"] == 25 == sum(map(len, finding.rows.values()))
    assert finding.observed["distinct_prompts"] == len(rows) - 25


def test_few_prompts_or_one_answer_everywhere_are_reported():
    few = [(f"Question {n % 4}", f"b{n}", f"c{n}") for n in range(100)]
    same = [(f"Question {n}", "I am Aria." if n < 6 else f"b{n}", f"c{n}") for n in range(100)]
    for pairs, number in (
        (few, "4 of 100 prompts distinct"),
        (same, "100 of 100 prompts distinct, one answer in 6 rows"),
    ):
        finding = judged(Diversity(), pairs)
        assert not finding.passed and not finding.gates
        assert finding.number == number
    assert finding.rows == {"train": list(range(6))}
    assert judged(Diversity(), natural_pairs(100)).passed


def test_a_lower_score_of_the_chosen_answer_gates_and_ties_are_counted():
    pairs, none = natural_pairs(6), float("nan")
    finding = judged(
        Scores(),
        pairs,
        score_chosen=[9.0, 5.0, 5.0, None, 1.0, none],
        score_rejected=[8.0, 5.0, 5.5, 7.0, none, 1.0],
    )
    assert finding.gates and finding.rows == {"train": [2]}
    assert finding.examples[0]["why"] == "chosen has score 5.0, rejected 5.5"
    assert (finding.observed["scored"], finding.observed["ties"]) == (3, 1)


@pytest.mark.parametrize(
    "columns", [{}, {"score_chosen": [None] * 3, "score_rejected": [None] * 3}]
)
def test_pairs_without_scores_pass_and_say_so(columns):
    scores = {name: pl.Series(column, dtype=pl.Float64) for name, column in columns.items()}
    finding = judged(Scores(), natural_pairs(3), **scores)
    assert finding.passed and finding.number == "no scores"


def test_every_flip_of_real_scores_is_found_but_for_the_ties(real_data):
    lines = (real_data / "ultrafeedback-sample.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    frame = frame_of((row["prompt"], row["chosen"], row["rejected"]) for row in rows)
    scores = {
        name: [row["metadata"][name] for row in rows] for name in ("score_chosen", "score_rejected")
    }
    straight = {name: pl.Series(values, dtype=pl.Float64) for name, values in scores.items()}
    flipped = dict(zip(straight, reversed(straight.values()), strict=True))
    ties = sum(a == b for a, b in zip(*scores.values(), strict=True))
    right = Scores().judge(Pairs(frame.with_columns(**straight)))
    wrong = Scores().judge(Pairs(frame.with_columns(**flipped)))
    assert right.passed and right.observed["ties"] == ties
    assert wrong.gates and wrong.observed["rows"] == len(rows) - ties
