"""What a recipe demands of a model: each demand at its threshold, refusals with their numbers."""

import math
from typing import Any

import pytest

from tasks.core.gate import judge
from tasks.core.settings import Gate

TRAINING = {"token_accuracy_before": 0.6, "token_accuracy": 0.99, "chosen_rewards": 0.3}
AFTER = {"strict": 0.95, "exact": 0.9, "same": 1.0, "reward_accuracy_low": 0.62, "prompts": 20}
DEMANDS = [
    ("token_accuracy", TRAINING, "token_accuracy", "converged: token_accuracy"),
    ("chosen_rewards", TRAINING, "chosen_rewards", "not diverged: chosen_rewards"),
    ("strict", AFTER, "strict", "strict"),
    ("exact", AFTER, "exact", "exact"),
    ("same", AFTER, "same", "same"),
]


def verdicts(
    demands: dict[str, Any],
    training: dict[str, float] = TRAINING,
    after: dict[str, float] = AFTER,
) -> dict[str, Any]:
    judged = judge(training, after, **Gate.model_validate(demands).model_dump())
    return {verdict.metric: verdict for verdict in judged}


def test_a_recipe_that_demands_nothing_gets_no_verdict() -> None:
    assert verdicts({}) == {}


@pytest.mark.parametrize(("demand", "facts", "fact", "metric"), DEMANDS)
def test_a_demand_is_met_at_its_threshold_and_refused_just_below(
    demand: str, facts: dict[str, float], fact: str, metric: str
) -> None:
    side = "training" if facts is TRAINING else "after"
    at, below = facts[fact], math.nextafter(facts[fact], -math.inf)
    assert verdicts({demand: at})[metric].passed
    refused = verdicts({demand: at}, **{side: facts | {fact: below}})[metric]
    assert not refused.passed


def test_reward_accuracy_must_lie_above_its_threshold_by_its_whole_interval() -> None:
    metric = "reward_accuracy, lower end of its 95 % interval,"
    low = AFTER["reward_accuracy_low"]
    assert not verdicts({"reward_accuracy": low})[metric].passed
    assert verdicts({"reward_accuracy": math.nextafter(low, 0)})[metric].passed


def test_a_refusal_names_metric_value_and_threshold() -> None:
    refused = verdicts({"strict": 0.9}, after=AFTER | {"strict": 0.8125})["strict"]
    assert str(refused) == "REFUSED: strict = 0.8125, required >= 0.9"
    assert str(verdicts({"strict": 0.9})["strict"]) == "passed: strict = 0.95, required >= 0.9"


def test_a_model_whose_token_accuracy_fell_has_diverged() -> None:
    metric = "not diverged: token_accuracy, not below its start,"
    assert verdicts({"token_accuracy": 0.5})[metric].passed
    fell = TRAINING | {"token_accuracy": 0.59}
    judged = verdicts({"token_accuracy": 0.5}, training=fell)
    assert not judged[metric].passed and judged["converged: token_accuracy"].passed
    assert "0.59" in str(judged[metric]) and "0.6" in str(judged[metric])


def test_a_model_whose_chosen_answers_became_less_likely_has_diverged() -> None:
    judged = verdicts({"chosen_rewards": 0.0}, training=TRAINING | {"chosen_rewards": -0.01})
    assert not judged["not diverged: chosen_rewards"].passed


@pytest.mark.parametrize(("demand", "facts", "fact", "metric"), DEMANDS)
def test_a_number_that_is_none_meets_no_demand(
    demand: str, facts: dict[str, float], fact: str, metric: str
) -> None:
    side = "training" if facts is TRAINING else "after"
    broken = facts | {fact: math.nan}
    assert not verdicts({demand: 0.1}, **{side: broken})[metric].passed


def test_what_was_not_measured_meets_no_demand() -> None:
    judged = verdicts({"strict": 0.1, "same": 0.1}, after={"reward_accuracy_low": 0.6})
    assert [verdict.passed for verdict in judged.values()] == [False, False]
