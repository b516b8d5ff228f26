"""The divergence experiment: a training that wrecks the model is stopped, or refused by the gate.

On three base seeds the demo's recipe passes, and a hundred times its learning rate does not. What
is trained and judged here is printed as a table by benchmarks/divergence.py.
"""

import pytest
from divergence import (
    BASE_STEPS,
    Ground,
    Trained,
    at_rate,
    base_on_hub,
    demo_recipe,
    metrics_of,
    prepare,
    refusals,
    train,
    unwatched,
)

pytestmark = pytest.mark.slow

SEEDS = (1, 2, 3)
RECIPE = demo_recipe()
WRECKED = unwatched(at_rate(RECIPE, 100))


@pytest.fixture(scope="module", params=SEEDS)
def ground(request, hub, tmp_path_factory) -> Ground:
    folder = tmp_path_factory.mktemp("divergence")
    base = base_on_hub(folder / f"base-{request.param}", BASE_STEPS, request.param)
    return prepare(base, RECIPE, folder / "ground")


@pytest.fixture(scope="module")
def sound(ground, tmp_path_factory) -> Trained:
    """Trained as the recipe says: a broken limit would raise here."""
    return train(ground, RECIPE, tmp_path_factory.mktemp("sound") / "stage")


def test_the_recipes_own_rate_holds_every_limit_and_passes_the_gate(ground, sound):
    assert refusals(RECIPE, metrics_of(ground, RECIPE, sound)) == []


def test_a_hundred_times_the_rate_breaks_a_limit_at_one_of_the_first_evaluations(ground, tmp_path):
    from tasks.core.watching import Diverged

    with pytest.raises(Diverged, match=r"does not hold at step (5|10)\b"):
        train(ground, at_rate(RECIPE, 100), tmp_path / "stage")


def test_without_limits_the_gate_refuses_it_by_every_measure_of_behaviour(ground, sound, tmp_path):
    wrecked = train(ground, WRECKED, tmp_path / "stage")
    refused = refusals(RECIPE, metrics_of(ground, RECIPE, wrecked))
    for metric in ("strict", "exact", "same"):
        assert f"{metric} >= 0.9" in refused
    assert wrecked.facts["reward_accuracy"] >= sound.facts["reward_accuracy"]  # sees nothing


def test_at_ten_times_the_rate_every_metric_of_training_looks_better_and_the_gate_refuses_it(
    ground, sound, tmp_path
):
    """Trained on where the recipe would have stopped: what suffers is the other answers."""
    wrecked = train(ground, unwatched(at_rate(RECIPE, 10)), tmp_path / "stage")
    assert wrecked.facts["loss"] < sound.facts["loss"]
    assert wrecked.facts["reward_accuracy"] >= sound.facts["reward_accuracy"]
    assert wrecked.facts["reward_margin"] > sound.facts["reward_margin"]
    assert wrecked.facts["token_accuracy"] > 0.99
    assert "same >= 0.9" in refusals(RECIPE, metrics_of(ground, RECIPE, wrecked))
