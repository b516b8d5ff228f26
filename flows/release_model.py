"""The whole DAG: raw preference pairs in, a released model out. One recipe is one deployment.

pairpress run demo
"""

from prefect import flow

from flows.align_model import align_model
from flows.prepare_data import prepare_data
from flows.promote_release import promote_release
from flows.seed_hub import seed_hub
from flows.stage_release import stage_release
from tasks.core.settings import (
    Base,
    Checks,
    Correction,
    Data,
    Evaluation,
    Gate,
    Lora,
    Loss,
    OnPolicy,
    Recipe,
    Release,
    Seed,
    Splits,
    Training,
)
from tasks.publish import pin_base, try_everything
from tasks.record import write_record


@flow(name="release-model", log_prints=False)
def release_model(
    base: Base,
    data: Data,
    release: Release,
    splits: Splits = Splits(),
    curation: Correction | None = None,
    on_policy: OnPolicy | None = None,
    checks: Checks = Checks(),
    training: Training = Training(),
    loss: Loss = Loss(),
    lora: Lora = Lora(),
    evaluation: Evaluation = Evaluation(),
    gate: Gate = Gate(),
    seed: Seed | None = None,
) -> str:
    """Files, token and write access are tried first; returns the path of the run's release.json."""
    recipe = Recipe(
        base=base,
        data=data,
        release=release,
        splits=splits,
        curation=curation,
        on_policy=on_policy,
        checks=checks,
        training=training,
        loss=loss,
        lora=lora,
        evaluation=evaluation,
        gate=gate,
        seed=seed,
    )
    repository = try_everything(recipe)
    if seed:
        seed_hub(seed)
    pinned = pin_base(base)
    asked = list(evaluation.questions)
    prepared = prepare_data(pinned, data, splits, curation, on_policy, checks, asked)
    aligned = align_model(pinned, prepared, data, curation, training, loss, lora, evaluation, gate)
    staged = stage_release(repository, pinned, prepared, aligned, recipe)
    published = promote_release(staged, release)
    return write_record(staged, aligned, published)
