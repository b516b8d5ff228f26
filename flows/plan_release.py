"""A recipe in, what a run of it would find, do and need out: nothing is made or sent."""

from flows.align_model import align_model
from flows.prepare_data import prepare_data
from tasks.core import plan
from tasks.core.models import ModelRef
from tasks.core.plan import Plan
from tasks.core.settings import Recipe
from tasks.finished import finished_stages


def plan_release(recipe: Recipe) -> Plan:
    """The looks of a run's preflight, and how far an earlier run has come with the same recipe."""
    found = plan.look(recipe)
    commit = found.sources[0].revision
    if found.unchanged or found.refusals or not commit:  # the demo's base is made by its run
        return found
    base = ModelRef(repo=recipe.base.model, revision=commit)

    def run() -> None:
        align_model.fn(found.repository, base, prepare_data.fn(base, recipe), recipe)

    finished, missing, trouble = finished_stages(run)
    refusals = (*found.refusals, trouble) if trouble else found.refusals
    told = {"finished": tuple(finished), "next_stage": missing, "refusals": refusals}
    return found.model_copy(update=told)
