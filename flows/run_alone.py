"""Parts of a release by themselves: only the data, only the training, only the publishing.

in   a recipe as it is deployed, or an earlier run that kept what this part starts from
out  the run's folder, from which the next part can start

Each is a deployment of its own, so that a person or another program can start it.
"""

from prefect import flow

from flows.align_model import align_model
from flows.prepare_data import prepare_data
from flows.promote_release import promote_release
from flows.seed_hub import seed_hub
from flows.stage_release import stage_release
from tasks.alerts import AT_THE_END
from tasks.approve import await_approval, evaluation_of, require_answerable, settle_questions
from tasks.core.references import LATEST
from tasks.preflight import pin_base, tokens_from_blocks, try_access, try_everything
from tasks.record import write_record
from tasks.references import deployed_recipe, go_on_from, keep, require_branches, take_digest
from tasks.staged import run_folder


@flow(name="prepare-data", **AT_THE_END)
def prepare_alone(recipe: str, changes: tuple[str, ...] = ()) -> str:
    """Pairs that passed their checks, and the account of every source row. Nothing is trained.

    Args:
        recipe: Name of a deployment of release-model, such as identity-qwen.
        changes: Settings that differ, each as section.key=value: data.revision=v2
    """
    chosen = keep("recipe", deployed_recipe(recipe, changes))
    tokens_from_blocks()
    if chosen.seed:
        seed_hub(chosen.seed)
    keep("news", take_digest(chosen))
    prepare_data(keep("base", pin_base(chosen.base, chosen.lora)), chosen)
    return str(run_folder())


@flow(name="align-model", **AT_THE_END)
def align_alone(run: str = LATEST, changes: tuple[str, ...] = ()) -> str:
    """Training, both evaluations, the gate and the merge, on the data of an earlier run.

    Args:
        run: Id of an earlier run, as its page shows it. latest: the newest that prepared data.
        changes: Settings that differ, each as section.key=value: training.max_steps=200
    """
    earlier = go_on_from(run, "prepared", changes)
    repository = try_access(earlier.recipe)
    try_everything(earlier.recipe)
    align_model(repository, earlier.base, earlier.prepared, earlier.recipe)
    return str(run_folder())


@flow(name="stage-release", **AT_THE_END)
def stage_alone(run: str = LATEST, changes: tuple[str, ...] = ()) -> str:
    """A model that passed its gate, on release branches and verified there. Nobody reads it yet.

    Args:
        run: Id of an earlier run, as its page shows it. latest: the newest whose model passed.
        changes: Settings of the release that differ, such as release.repository=owner/name
    """
    recipe, news, base, prepared, aligned, _ = go_on_from(run, "aligned", changes)
    repository = try_access(recipe)
    settle_questions(repository, news)
    stage_release(repository, news, base, prepared, aligned, recipe)
    return str(run_folder())


@flow(name="promote-release", **AT_THE_END)
def promote_alone(run: str = LATEST, changes: tuple[str, ...] = ()) -> str:
    """What was staged goes to main and gets its tag, asked for first where the recipe says so.

    Returns the path of the run's release.json.

    Args:
        run: Id of an earlier run, as its page shows it. latest: the newest that staged a release.
        changes: Settings of the release that differ, such as release.approval=pull-request
    """
    recipe, news, _, _, aligned, staged = go_on_from(run, "staged", changes)
    require_answerable(recipe.release)
    repository = try_access(recipe)
    settle_questions(repository, news)
    require_branches(staged)
    await_approval(repository, news, staged, evaluation_of(aligned), recipe.release)
    return write_record(staged, aligned, promote_release(staged, recipe.release))
