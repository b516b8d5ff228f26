"""A recipe with a sweep -> the recipes to train in turn, one a candidate. Pure.

in   a Recipe; sweep.learning_rate and sweep.beta
out  every rate with every beta, in the order given; without a sweep the recipe itself. A run_name
     gets rate and beta behind it, so that the candidates are told apart wherever they are shown
"""

from itertools import product

from tasks.core.settings import Recipe, Sweep


def candidates(recipe: Recipe) -> list[Recipe]:
    if recipe.sweep == Sweep():
        return [recipe]
    rates = recipe.sweep.learning_rate or (recipe.training.learning_rate,)
    betas = recipe.sweep.beta or (recipe.loss.beta,)
    return [_candidate(recipe, *one) for one in dict.fromkeys(product(rates, betas))]


def run_name(recipe: Recipe) -> str:
    """What pictures, TensorBoard and Weights & Biases call the training."""
    own = recipe.release.repository.rpartition("/")[2]
    return recipe.tracking.run_name or _with_rate_and_beta(own, recipe)


def _candidate(recipe: Recipe, rate: float, beta: float) -> Recipe:
    one = recipe.model_copy(
        update={
            "training": recipe.training.model_copy(update={"learning_rate": rate}),
            "loss": recipe.loss.model_copy(update={"beta": beta}),
            "sweep": Sweep(),
        }
    )
    if recipe.tracking.run_name is None:
        return one
    name = _with_rate_and_beta(recipe.tracking.run_name, one)
    tracking = recipe.tracking.model_copy(update={"run_name": name})
    return one.model_copy(update={"tracking": tracking})


def _with_rate_and_beta(name: str, recipe: Recipe) -> str:
    return f"{name}-lr{recipe.training.learning_rate:g}-beta{recipe.loss.beta:g}"
