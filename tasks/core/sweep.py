"""A recipe with a sweep -> the recipes to train in turn, one a candidate. Pure.

in   a Recipe; sweep.learning_rate and sweep.beta
out  every rate with every beta, in the order given; without a sweep the recipe itself
"""

from itertools import product

from tasks.core.settings import Recipe, Sweep


def candidates(recipe: Recipe) -> list[Recipe]:
    rates = recipe.sweep.learning_rate or (recipe.training.learning_rate,)
    betas = recipe.sweep.beta or (recipe.loss.beta,)
    return [
        recipe.model_copy(
            update={
                "training": recipe.training.model_copy(update={"learning_rate": rate}),
                "loss": recipe.loss.model_copy(update={"beta": beta}),
                "sweep": Sweep(),
            }
        )
        for rate, beta in dict.fromkeys(product(rates, betas))
    ]
