"""What a recipe demands of a model: sentences, each with its number, met or refused."""

import math

import pytest

from tasks.core.gate import LEAST_PROMPTS, asks_for_last, judge, standing
from tasks.core.sentences import GATE, HELD_OUT, TRAINING, parse

AFTER = {
    "strict": 0.95,
    "exact": 0.9,
    "same": 1.0,
    "perplexity": 4.5,
    "reward_accuracy_low": 0.62,
    "prompts": LEAST_PROMPTS,
    "equal": 0.4,
    "validation.chosen_rewards": 0.3,
}
BASE = {"perplexity": 4.0, "strict": 0.0}


def verdict(sentence, metrics=AFTER, base=BASE, last=None):
    return judge([sentence], metrics, base, last)[-1]


def test_a_recipe_that_demands_nothing_still_asks_that_training_did_something():
    (only,) = judge([], AFTER, BASE, None)
    assert str(only) == "passed: equal < 1: it is 0.4"
    (only,) = judge([], AFTER | {"equal": 1.0}, BASE, None)
    assert str(only) == "REFUSED: equal < 1: it is 1"


@pytest.mark.parametrize("metric", ["strict", "exact", "same", "validation.chosen_rewards"])
def test_a_demand_is_met_at_its_threshold_and_refused_just_below(metric):
    at, below = AFTER[metric], math.nextafter(AFTER[metric], -math.inf)
    assert verdict(f"{metric} >= {at}").passed
    assert not verdict(f"{metric} >= {at}", AFTER | {metric: below}).passed
    assert not verdict(f"{metric} > {at}").passed


def test_a_sentence_may_compare_with_the_base():
    assert str(verdict("perplexity <= 1.2 * base")) == (
        "passed: perplexity <= 1.2 * base = 4.8: it is 4.5"
    )
    assert str(verdict("perplexity <= 1.1*base")) == (
        "REFUSED: perplexity <= 1.1*base = 4.4: it is 4.5"
    )
    assert verdict("perplexity <= base + 0.5").passed
    assert not verdict("perplexity <= base + 0.4").passed


def test_a_sentence_may_compare_with_the_last_release_if_there_is_one():
    assert not verdict("strict >= last - 0.02", last={"strict": 0.99}).passed
    assert verdict("strict >= last - 0.05", last={"strict": 0.99}).passed
    first = verdict("strict >= last - 0.02", last=None)
    assert first.passed and "nothing was released before" in str(first)
    assert not verdict("strict >= last", last={}).passed  # a release without that metric
    assert not verdict("kl <= last", last=None).passed  # what was not measured of this one


def test_what_the_base_does_not_have_is_no_threshold():
    assert not verdict("same >= base").passed


def test_a_number_that_is_none_meets_no_demand():
    assert not verdict("strict >= 0.1", AFTER | {"strict": math.nan}).passed
    assert not verdict("perplexity <= 9", AFTER | {"perplexity": math.nan}).passed


def test_what_was_not_measured_meets_no_demand_and_says_so():
    assert str(verdict("kl <= 1")) == "REFUSED: kl <= 1: it was not measured"


def test_an_interval_asks_for_enough_prompts_before_it_is_believed():
    few = AFTER | {"prompts": LEAST_PROMPTS - 1}
    told = [str(one) for one in judge(["reward_accuracy_low > 0.5"], few, BASE, None)]
    assert told[1] == f"REFUSED: prompts >= {LEAST_PROMPTS}: it is {LEAST_PROMPTS - 1}"
    assert told[2] == "passed: reward_accuracy_low > 0.5: it is 0.62"
    assert len(judge(["strict > 0.5"], few, BASE, None)) == 2


def test_only_a_recipe_that_names_the_last_release_has_it_evaluated():
    assert asks_for_last(["strict >= 0.9", "same >= last"])
    assert not asks_for_last(["strict >= 0.9", "perplexity <= base"])


def test_of_a_sweep_the_best_misses_the_fewest_sentences_then_behaves_best():
    def stands(**metrics):
        after = AFTER | metrics
        return standing(judge(["strict >= 0.9", "same >= 0.9"], after, BASE, None), after)

    assert stands(strict=0.9, same=0.9) > stands(strict=1.0, same=0.89)
    assert stands(strict=0.95, same=0.95) > stands(strict=0.92, same=0.95)
    assert stands(strict=0.9, same=0.9) > stands(strict=0.9, exact=math.nan)
    without = {"reward_accuracy": 0.7, "equal": 0.1}
    assert standing(judge([], without, {}, None), without) == (0, 0.7)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("strikt >= 0.9", "no metric 'strikt'; known: reward_accuracy, "),
        ("strict = 0.9", "is no sentence: METRIC, one of >= <= > <"),
        ("strict >= best", "'best' is neither a number nor base or last"),
        ("strict >= start", "'start' is neither a number nor base or last"),
        ("strict", "is no sentence"),
        ("strict >= 90 %", "is no sentence"),
        ("strict >= 90", "strict is a share, between 0 and 1"),
        ("validation.token_accuracy > 99", "is a share, between 0 and 1"),
        ("validation.loss <= last", "of the last release no validation metric is measured again"),
        ("kl <= 1.1 * base", "the base's KL to itself is 0"),
    ],
)
def test_a_sentence_that_is_none_is_told_with_what_is_known(text, told):
    with pytest.raises(ValueError) as refused:
        parse(text, GATE)
    assert told in str(refused.value)


def test_a_sentence_of_training_compares_with_its_start_alone():
    assert parse("token_accuracy >= start", TRAINING).threshold({"token_accuracy": 0.6}) == 0.6
    with pytest.raises(ValueError, match="neither a number nor start"):
        parse("token_accuracy >= base", TRAINING)
    with pytest.raises(ValueError, match="no metric 'strict'"):
        parse("strict >= 0.9", TRAINING)


def test_the_gate_knows_the_metrics_of_both_evaluations():
    assert set(GATE) == set(HELD_OUT) | {f"validation.{name}" for name in TRAINING}
