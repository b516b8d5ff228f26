"""The whole DAG: raw preference pairs in, a released model out. One recipe is one deployment.

pairpress run demo
"""

from prefect import flow

from flows.align_model import align_model
from flows.prepare_data import prepare_data
from flows.promote_release import promote_release
from flows.seed_hub import seed_hub
from flows.stage_release import stage_release
from tasks.alerts import AT_THE_END
from tasks.approve import await_approval, evaluation_of, require_answerable, settle_questions
from tasks.core.recipes import checked
from tasks.core.sentences import GateSentence
from tasks.core.settings import (
    Base,
    Batch,
    Checks,
    Correction,
    Data,
    Evaluation,
    Lora,
    Loss,
    Machine,
    Measure,
    Merge,
    OnPolicy,
    Reading,
    Reformat,
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
from tasks.references import keep


# Prefect would tell a mistake as pydantic does; `checked` tells all of them in a sentence each.
@flow(name="release-model", log_prints=False, validate_parameters=False, **AT_THE_END)
def release_model(
    base: Base,
    data: Data,
    release: Release,
    training: Training = Training(),
    batch: Batch = Batch(),
    loss: Loss = Loss(),
    lora: Lora = Lora(),
    curation: Correction | None = None,
    on_policy: OnPolicy | None = None,
    reformat: Reformat = Reformat(),
    reading: Reading = Reading(),
    splits: Splits = Splits(),
    checks: Checks = Checks(),
    evaluation: Evaluation = Evaluation(),
    measure: Measure = Measure(),
    gate: tuple[GateSentence, ...] = (),
    watch: Watch = Watch(),
    sweep: Sweep = Sweep(),
    machine: Machine = Machine(),
    merge: Merge = Merge(),
    tracking: Tracking = Tracking(),
    seed: Seed | None = None,
    rehearsal: bool = False,
) -> str:
    """Whatever can refuse it is tried first; returns the path of the run's release.json.

    Prefect's form shows these words, and for every group those of its class.

    Args:
        curation: None for ready pairs; else pairs of the model's own answers with other names
        on_policy: None, or pairs of the model's own samples, the best against the worst
        gate: What the trained model must keep, a sentence each, as in `strict >= 0.9` or
            `perplexity <= 1.1 * base`; docs/training.md tells all of them. Empty: nothing
        seed: None but in the demo, which puts its own model and data on the Hub first
        rehearsal: Checks and gates report and refuse nothing; released on this disk only
    """
    recipe = checked(locals(), "of this run")  # nothing but the parameters is there yet
    require_answerable(recipe.release)
    keep("recipe", recipe)
    repository = try_access(recipe)
    if recipe.seed:
        seed_hub(recipe.seed)
    news = keep("news", look_for_news(repository, recipe))
    settle_questions(repository, news)
    if news.standing:
        return record_nothing_new(repository, news, recipe.release)
    try_everything(recipe)
    pinned = keep("base", pin_base(recipe.base, recipe.lora))
    prepared = prepare_data(pinned, recipe)
    aligned = align_model(repository, pinned, prepared, recipe)
    staged = stage_release(repository, news, pinned, prepared, aligned, recipe)
    await_approval(repository, news, staged, evaluation_of(aligned), recipe.release)
    published = promote_release(staged, recipe.release)
    return write_record(staged, aligned, published)
