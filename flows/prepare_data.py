"""load -> reformat -> split -> curate -> validate: raw rows in, pairs fit to train on out."""

from prefect import flow

from tasks.core.models import ModelRef
from tasks.core.refs import Prepared
from tasks.core.settings import Checks, Correction, Data, Splits
from tasks.curate import curate_pairs
from tasks.load import load_rows
from tasks.reformat import reformat_rows, split_prompts
from tasks.validate import validate_pairs


@flow(name="prepare-data")
def prepare_data(
    base: ModelRef,
    data: Data,
    splits: Splits,
    curation: Correction | None,
    checks: Checks,
    held_out: list[str],
) -> Prepared:
    """Nothing after this reads raw rows; a failed check stops here, before any training."""
    raw = load_rows(data)
    rows = reformat_rows(raw, base, data)
    prompts = split_prompts(rows, splits, held_out)
    pairs = curate_pairs(prompts, base, curation, data)
    checked = validate_pairs(raw, [rows, prompts, pairs], base, data, curation, checks)
    return Prepared(raw=raw, rows=rows, prompts=prompts, pairs=pairs, checks=checked)
