"""N1: how many rows were compared, and what stands where a score should."""

import polars as pl
import pytest
from pair_makers import frame_of, natural_pairs

from expectations.measures.chunk import FAULT
from expectations.measures.pairs import Pairs
from expectations.measures.scores import Scores

NAN, INFINITE = float("nan"), float("inf")


def judged(chosen, rejected, faults=None):
    """The finding for rows of these scores; `faults`: at -> what the parser could not read."""
    columns = {"score_chosen": chosen, "score_rejected": rejected}
    scores = {name: pl.Series(values, dtype=pl.Float64) for name, values in columns.items()}
    frame = frame_of(natural_pairs(len(chosen)), **scores)
    told = [
        [{"check": "N1", "side": "chosen", "reason": faults[at]}] if at in (faults or {}) else []
        for at in range(len(chosen))
    ]
    return Scores().judge(Pairs(frame.with_columns(faults=pl.Series(told, dtype=FAULT))))


@pytest.mark.parametrize(
    ("chosen", "rejected", "number"),
    [
        ([3, 2, 1], [1, 2, 1], "0 of 3 rows, 2 ties"),
        ([3, None], [2, None], "0 of 1 row, 0 ties"),
        ([None, None], [None, None], "no scores"),
    ],
)
def test_a_pass_says_how_many_rows_were_compared(chosen, rejected, number):
    finding = judged(chosen, rejected)
    assert finding.passed and finding.rows == {} and finding.number == number


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [(NAN, 1), (NAN, NAN), (INFINITE, 1), (1, -INFINITE), (INFINITE, INFINITE), (None, 1)],
)
def test_a_score_that_cannot_be_compared_is_said_and_does_not_gate(chosen, rejected):
    finding = judged([2, chosen, 2], [1, rejected, 2])
    assert not finding.passed and not finding.gates
    assert finding.rows == {"train": [1]}
    assert finding.number == "0 of 2 rows, 1 tie, 1 row with one score or no number"
    assert (finding.observed["scored"], finding.observed["unscored"]) == (2, 1)


def test_scores_on_one_side_of_every_row_do_not_pass_in_silence():
    finding = judged([2.0] * 3, [None] * 3)
    assert not finding.passed and finding.number == "3 rows with one score or no number"
    assert finding.examples[0]["why"] == "chosen has score 2.0, rejected none"


def test_a_score_that_the_parser_could_not_read_gates_and_is_counted_once():
    told = "`score_chosen` is text, not a number: '9'"
    finding = judged([None, 2, 1], [1, 1, 2], faults={0: told})
    assert finding.gates and finding.rows == {"train": [0, 2]}
    assert finding.number == "1 of 2 rows, 0 ties, 1 row with one score or no number"
    assert {one["why"] for one in finding.examples} == {
        told,
        "chosen has score 1.0, rejected 2.0",
    }


def test_scores_of_which_none_could_be_read_are_not_called_no_scores():
    frame = frame_of(natural_pairs(2))
    fault = [{"check": "N1", "side": "chosen", "reason": "`score_chosen` is a list"}]
    faulty = frame.with_columns(faults=pl.Series([fault, fault], dtype=FAULT))
    finding = Scores().judge(Pairs(faulty))
    assert finding.gates and finding.number == "2 rows with one score or no number"
