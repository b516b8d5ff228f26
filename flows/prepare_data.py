"""load -> reformat -> deduplicate -> split -> curate -> account -> validate: sound pairs out."""

from prefect import flow

from tasks.account import account_rows
from tasks.core.models import ModelRef
from tasks.core.refs import Prepared
from tasks.core.settings import Recipe
from tasks.curate import curate_pairs
from tasks.load import load_rows
from tasks.references import keep
from tasks.reformat import drop_repeated, reformat_rows, split_prompts
from tasks.validate import validate_pairs


@flow(name="prepare-data")
def prepare_data(base: ModelRef, recipe: Recipe) -> Prepared:
    """Nothing after this reads raw rows; a failed check stops here, before any training."""
    raw = load_rows(recipe)
    rows = reformat_rows(raw, base, recipe)
    distinct = drop_repeated(rows, recipe.reading)
    prompts = split_prompts(distinct, [rows, distinct], recipe)
    pairs = curate_pairs(prompts, base, recipe)
    account = account_rows(raw, [rows, distinct, prompts, pairs], recipe.data)
    checked = validate_pairs(raw, account, pairs, base, recipe)
    made = Prepared(raw=raw, account=account, prompts=prompts, pairs=pairs, checks=checked)
    return keep("prepared", made)
