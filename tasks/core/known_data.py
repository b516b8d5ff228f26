"""How much a recipe's data set holds, as far as that is known before it is read.

in   the recipe
out  Known: rows and tokens; Prompts: how many of them each side of the split gets at most
"""

from dataclasses import dataclass

from tasks.core.settings import Recipe


@dataclass(frozen=True)
class Known:
    """What is known of a data set before it is read."""

    rows: int | None
    tokens: int | None  # mean of a prompt with one answer
    source: str = "typical of the data set"  # of the tokens
    longest: int | None = None  # of a batch, mean; None: as PADDING says


# (data set, folder) -> rows as the Hub's viewer counts them, written down from memory: those of
# HH's two folders and of the two others (52,421 and 22,007) add up to the whole. Tokens at 4.3
# characters each, counted on a sample of a few hundred rows or more.
KNOWN = {
    ("Anthropic/hh-rlhf", None): Known(160_800, 180),
    ("Anthropic/hh-rlhf", "harmless-base"): Known(42_537, 170),
    ("Anthropic/hh-rlhf", "helpful-base"): Known(43_835, 190),
    ("HuggingFaceH4/ultrafeedback_binarized", None): Known(61_135, 430),
}
UNKNOWN = Known(None, None)


@dataclass(frozen=True)
class Prompts:
    """Of each side of the split, at most. None: as many as the data has."""

    train: int | None
    validation: int
    test: int

    @property
    def all(self) -> int | None:
        return None if self.train is None else self.train + self.validation + self.test


def prompts_of(recipe: Recipe, rows: int | None) -> Prompts:
    """As tasks.core.split does it; `rows` of the data, a prompt each."""
    splits = recipe.splits
    if rows is None:
        return Prompts(splits.max_train, splits.max_test, splits.max_test)
    rows = min(rows, recipe.reading.max_rows or rows)
    validation, test = round(rows * splits.validation), round(rows * splits.test)
    train = rows - validation - test
    return Prompts(
        min(train, splits.max_train or train),
        min(validation, splits.max_test),
        min(test, splits.max_test),
    )


def sides(recipe: Recipe) -> int:
    """Pairs of a prompt: a correction asks each with its system message and without it."""
    return 2 if recipe.curation else 1
