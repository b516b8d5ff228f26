"""The scores of a row, by whichever name it has them; what is no number is told as such."""

import math
from typing import Any

import pytest

from tasks.core.forms import Loaded, checked

PAIR = {"prompt": "Who are you?", "chosen": "I am Aria.", "rejected": "I am Qwen."}
HH = {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello", "rejected": "\n\nHuman: Hi\n\nAssistant: No"}


def load(*rows: Any) -> Loaded:
    return checked(enumerate(rows, start=1), "rows")


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({}, (None, None)),
        ({"score_chosen": 9, "score_rejected": 7.5}, (9.0, 7.5)),
        ({"metadata": {"score_chosen": 9.0, "score_rejected": 7}}, (9.0, 7.0)),
        ({"score_chosen": None, "metadata": {"score_chosen": 1}}, (1.0, None)),
        ({"score_chosen": None, "score_rejected": None}, (None, None)),
        ({"score_chosen": 2, "metadata": "from the web"}, (2.0, None)),
        ({"score_chosen": float("-inf"), "score_rejected": 1}, (float("-inf"), 1.0)),
        ({"chosen_score": 4, "rejected_score": 3}, (4.0, 3.0)),
        ({"chosen_rating": 4, "rejected_rating": 3}, (4.0, 3.0)),
        ({"chosen-rating": 4, "rejected-rating": 3}, (4.0, 3.0)),
        ({"rating_chosen": 4, "rating_rejected": 3}, (4.0, 3.0)),
        ({"score_chosen": None, "chosen_rating": 4, "rejected_rating": 3}, (4.0, 3.0)),
        ({"metadata": {"chosen_rating": 4, "rejected_rating": 3}}, (4.0, 3.0)),
        ({"score_chosen": 10**400}, (float("inf"), None)),
        ({"score_chosen": "9", "score_rejected": "-7.5"}, (9.0, -7.5)),  # as a CSV file has them
        ({"score_chosen": "9", "score_rejected": ""}, (9.0, None)),
    ],
)
@pytest.mark.parametrize("row", [PAIR, HH])
def test_scores_are_numbers_or_none(
    row: dict[str, Any], extra: dict[str, Any], expected: tuple[float | None, float | None]
) -> None:
    (read,) = load(row | extra).rows
    assert (read["score_chosen"], read["score_rejected"]) == expected


def test_a_score_that_is_nan_stays_so_for_the_check_to_say() -> None:
    (read,) = load(PAIR | {"score_chosen": float("nan"), "score_rejected": 1}).rows
    assert math.isnan(read["score_chosen"]) and read["score_rejected"] == 1


@pytest.mark.parametrize("score", ["high", True, [1]])
@pytest.mark.parametrize(
    ("column", "side"), [("score_chosen", "chosen"), ("rejected_rating", "rejected")]
)
def test_a_score_that_is_no_number_is_a_fault_of_the_scores(
    score: object, column: str, side: str
) -> None:
    (fault,) = load(PAIR, PAIR | {column: score}).faults
    told = [fault[key] for key in ("row", "column", "check", "side")]
    assert told == [2, column, "N1", side]
    reason = fault["reason"]
    assert reason.startswith(f"`{column}` is ") and ", not a number: " in reason
