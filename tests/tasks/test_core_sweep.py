"""A sweep: every rate with every beta, each a recipe of its own."""

from tasks.core.settings import Recipe
from tasks.core.sweep import candidates, run_name

LEAST = {
    "base": {"model": "me/base"},
    "data": {"path": "me/data"},
    "release": {"repository": "mine"},
}


def tried(**sweep):
    recipe = Recipe.model_validate(LEAST | {"sweep": sweep})
    return [(one.training.learning_rate, one.loss.beta) for one in candidates(recipe)]


def test_without_a_sweep_the_recipe_itself_is_the_only_candidate():
    recipe = Recipe.model_validate(LEAST)
    assert candidates(recipe) == [recipe]


def test_every_rate_is_tried_with_every_beta_in_the_order_given():
    both = tried(learning_rate=[1e-5, 1e-6], beta=[0.1, 0.5])
    assert both == [(1e-5, 0.1), (1e-5, 0.5), (1e-6, 0.1), (1e-6, 0.5)]


def test_a_sweep_over_one_keeps_the_recipe_s_own_other():
    assert tried(learning_rate=[1e-5, 1e-6]) == [(1e-5, 0.1), (1e-6, 0.1)]
    assert tried(beta=[0.2]) == [(5e-6, 0.2)]


def test_a_candidate_named_twice_is_trained_once():
    assert tried(learning_rate=[1e-5, 1e-5]) == [(1e-5, 0.1)]


def test_a_candidate_equals_the_recipe_that_says_so_itself():
    """So a sweep finds what an earlier run trained, and a later run what the sweep trained."""
    swept = Recipe.model_validate(LEAST | {"sweep": {"learning_rate": [1e-5]}})
    said = Recipe.model_validate(LEAST | {"training": {"learning_rate": 1e-5}})
    assert candidates(swept) == [said]


def test_candidates_of_a_named_run_are_told_apart_and_a_run_without_sweep_keeps_its_name():
    named = {"tracking": {"run_name": "first"}}
    swept = Recipe.model_validate(LEAST | named | {"sweep": {"learning_rate": [1e-5, 1e-6]}})
    assert [run_name(one) for one in candidates(swept)] == [
        *("first-lr1e-05-beta0.1", "first-lr1e-06-beta0.1"),
    ]
    (alone,) = candidates(Recipe.model_validate(LEAST | named))
    assert run_name(alone) == "first"
    assert run_name(Recipe.model_validate(LEAST)) == "mine-lr5e-06-beta0.1"
