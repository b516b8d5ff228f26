"""Log-probabilities of every pair under the base model, computed once and kept.

in   pairs, base model, machine; later a trainer of the same pairs
out  reference.parquet: split, pair (a digest of its text), chosen, rejected (nats, summed over the
     answer's tokens); a trainer that reads them instead of running the base beside the policy

They depend on pairs, base, template, length limit and number format, on no rate, beta or seed.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from tasks.core.errors import Refused
from tasks.core.fields import Row
from tasks.core.machine import Effective
from tasks.core.models import ModelRef
from tasks.core.progress import progress
from tasks.core.rows import Rows
from tasks.core.settings import Batch, Lora, Loss, Training, Watch
from tasks.core.trainer import COLUMNS, Recipe, trainer_for

FILE = "reference.parquet"
TOKENS = 16_384  # scored at once, padding among them; 2,048 tokens of 4 pairs
# How far policy and reference may be apart at the start, in nats summed over an answer. A fresh
# adapter adds exactly zero, so what remains is rounding that differs with the padding of a batch:
# in fp32 some units in the last place of the sum (6e-8 of it), in 16 bits (8 bits of mantissa, so
# some hundredths a logit) a random walk over the tokens. Another model is whole nats apart.
START = 1e-4
START_SHARE = 1e-6
START_A_TOKEN = 0.05


def reference_logps(
    base: ModelRef,
    train: Rows,
    validation: list[Row],
    machine: Effective,
    max_length: int,
    folder: Path,
) -> dict[str, Any]:
    """Write reference.parquet into `folder`, by the forward that TRL's trainer itself would run."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch
    from datasets import concatenate_datasets

    # The adapter is off while the base is scored, so what it would be is of no matter.
    recipe = Recipe(Training(), Batch(), Loss(), Lora(r=1), Watch(), machine, max_length)
    trainer = trainer_for(base, train, validation, recipe, folder / "trainer")
    pairs = concatenate_datasets([trainer.train_dataset, trainer.eval_dataset])
    if left_out := len(train) + len(validation) - len(pairs):
        raise Refused(
            f"the reference is wrong: TRL leaves out {left_out} pairs whose prompt alone has "
            f"{max_length} tokens or more. Set such rows aside first (reading.max_length)."
        )
    lengths = [
        len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))
        for row in pairs
    ]
    order = sorted(range(len(pairs)), key=lambda place: lengths[place])
    chosen, rejected = [0.0] * len(pairs), [0.0] * len(pairs)
    trainer.model.eval()
    with progress("reference", len(pairs), "pair") as advance:
        while order:
            size = max(1, TOKENS // (2 * lengths[order[-1]]))
            batch, order = order[-size:], order[:-size]
            inputs = trainer._prepare_inputs(trainer.data_collator([pairs[n] for n in batch]))
            with torch.no_grad():
                logps = trainer.compute_ref_log_probs(trainer.model, inputs)
            for side, values in zip((chosen, rejected), logps, strict=True):
                for place, value in zip(batch, values.tolist(), strict=True):
                    side[place] = value
            advance(len(batch))
    table = {
        "split": ["train"] * len(train) + ["validation"] * len(validation),
        "pair": [digest(row) for rows in (train, validation) for row in rows],
        "chosen": pa.array(chosen, pa.float32()),
        "rejected": pa.array(rejected, pa.float32()),
    }
    pq.write_table(pa.table(table), folder / FILE)
    shutil.rmtree(folder / "trainer", ignore_errors=True)  # the tokens
    return {"pairs": len(pairs), "tokens": sum(lengths)}


def digest(row: Row) -> str:
    """What a pair is found by again: 16 hex digits of its three columns."""
    text = json.dumps([row[name] for name in COLUMNS], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def attach(trainer: Any, folder: Path, train: Rows, validation: list[Row]) -> None:
    """Let the trainer read its reference from `folder`. Raises Refused where it is of other pairs.

    TRL's own precomputing happens when a trainer is made, and this is what it leaves behind: two
    columns and a flag.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(folder / FILE).to_pylist()
    for side, name, rows in (
        ("train", "train_dataset", train),
        ("validation", "eval_dataset", validation),
    ):
        kept = [entry for entry in table if entry["split"] == side][: len(rows)]
        unlike = sum(entry["pair"] != digest(row) for entry, row in zip(kept, rows, strict=False))
        if len(kept) < len(rows) or unlike:
            raise Refused(
                f"the reference is wrong: {folder / FILE} has other {side} pairs, {len(kept)} for "
                f"{len(rows)} and {unlike} of them in another place. Delete {folder}."
            )
        dataset = getattr(trainer, name)
        for theirs, ours in (("ref_chosen_logps", "chosen"), ("ref_rejected_logps", "rejected")):
            dataset = dataset.add_column(theirs, [entry[ours] for entry in kept])
        setattr(trainer, name, dataset)
    trainer.precompute_ref_logps = True


def check_start(trainer: Any) -> None:
    """Before the first step policy and reference are one model, answer by answer; or Refused.

    A mean over pairs would not do: margins of opposite sign cancel.
    """
    import torch

    batch = next(iter(trainer.get_eval_dataloader()))
    inputs = trainer._prepare_inputs(batch)
    model = trainer.model.eval()
    labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
    with torch.no_grad(), trainer.accelerator.autocast():
        policy = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            labels=labels,
            use_cache=False,
            fused_lm_head=True,
        ).log_probs.sum(dim=1)
        if trainer.precompute_ref_logps:
            reference = torch.cat([inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]])
        else:
            reference = torch.cat(trainer.compute_ref_log_probs(model, inputs))
    apart = (policy - reference).abs().cpu()  # (2 * pairs,): chosen, then rejected
    if model.get_base_model().dtype == torch.bfloat16:
        limit = START_A_TOKEN * inputs["completion_mask"].sum(dim=1).cpu().sqrt()
    else:
        limit = START + START_SHARE * reference.abs().cpu()
    if not bool((apart <= limit).all()):
        worst = int((apart - limit).argmax())
        nats, most = float(apart[worst]), float(limit[worst])
        raise Refused(
            "the reference is wrong: before the first step policy and reference are "
            f"{nats:.3g} nats apart on one answer (limit {most:.1g}), so margins do not begin at "
            "0. The log-probabilities kept are of another base model, template or number format."
        )
