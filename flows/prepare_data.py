"""load -> reformat -> deduplicate -> split -> curate -> account -> validate: sound pairs out."""

from prefect import flow

from tasks.account import account_rows
from tasks.core.models import ModelRef
from tasks.core.refs import Prepared
from tasks.core.settings import Checks, Correction, Data, OnPolicy, Splits
from tasks.curate import curate_pairs
from tasks.load import load_rows
from tasks.reformat import drop_repeated, reformat_rows, split_prompts
from tasks.validate import validate_pairs


@flow(name="prepare-data")
def prepare_data(
    base: ModelRef,
    data: Data,
    splits: Splits,
    curation: Correction | None,
    on_policy: OnPolicy | None,
    checks: Checks,
    held_out: list[str],
) -> Prepared:
    """Nothing after this reads raw rows; a failed check stops here, before any training."""
    raw = load_rows(data)
    rows = reformat_rows(raw, base, data, on_policy)
    distinct = drop_repeated(rows, data)
    prompts = split_prompts(distinct, [rows, distinct], splits, held_out)
    pairs = curate_pairs(prompts, base, curation, on_policy, data)
    account = account_rows(raw, [rows, distinct, prompts, pairs], data)
    checked = validate_pairs(raw, account, pairs, base, data, curation, checks)
    return Prepared(raw=raw, account=account, prompts=prompts, pairs=pairs, checks=checked)
