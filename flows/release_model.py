"""The whole DAG: raw preference pairs in, a released model out. One recipe is one deployment.

pairpress run demo
"""

from prefect import flow

from flows.align_model import align_model
from flows.prepare_data import prepare_data
from flows.promote_release import promote_release
from flows.seed_hub import seed_hub
from flows.stage_release import stage_release
from tasks.core.sentences import GateSentence
from tasks.core.settings import (
    Base,
    Checks,
    Correction,
    Data,
    Evaluation,
    Lora,
    Loss,
    Machine,
    OnPolicy,
    Recipe,
    Release,
    Seed,
    Splits,
    Sweep,
    Tracking,
    Training,
    Watch,
)
from tasks.preflight import look_for_news, pin_base, try_access, try_everything
from tasks.record import record_nothing_new, write_record


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
    machine: Machine = Machine(),
    watch: Watch = Watch(),
    sweep: Sweep = Sweep(),
    tracking: Tracking = Tracking(),
    evaluation: Evaluation = Evaluation(),
    gate: tuple[GateSentence, ...] = (),
    seed: Seed | None = None,
    rehearsal: bool = False,
) -> str:
    """Whatever can refuse it is tried first; returns the path of the run's release.json."""
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
        machine=machine,
        watch=watch,
        sweep=sweep,
        tracking=tracking,
        evaluation=evaluation,
        gate=gate,
        seed=seed,
        rehearsal=rehearsal,
    )
    repository = try_access(recipe)
    if seed:
        seed_hub(seed)
    news = look_for_news(repository, recipe)
    if news.standing:
        return record_nothing_new(repository, news, release)
    try_everything(recipe)
    pinned = pin_base(base, lora)
    prepared = prepare_data(pinned, recipe)
    aligned = align_model(repository, pinned, prepared, recipe)
    staged = stage_release(repository, news, pinned, prepared, aligned, recipe)
    published = promote_release(staged, release)
    return write_record(staged, aligned, published)
