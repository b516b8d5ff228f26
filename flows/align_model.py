"""evaluate -> train -> evaluate -> gate -> merge: pairs in, a model that passed its gate out."""

from prefect import flow

from tasks.core.models import ModelRef
from tasks.core.refs import Aligned, Candidate, Prepared
from tasks.core.settings import Recipe
from tasks.core.stage import Folder
from tasks.core.sweep import candidates
from tasks.core.watching import Diverged
from tasks.evaluate import evaluate_adapter, evaluate_base, evaluate_last
from tasks.gate import pass_gate
from tasks.merge import merge_model
from tasks.references import keep
from tasks.train import keep_reference, train_lora


@flow(name="align-model")
def align_model(repository: str, base: ModelRef, prepared: Prepared, recipe: Recipe) -> Aligned:
    """Both evaluations ask the same held-out questions: their difference is what training did."""
    before = evaluate_base(base, prepared.prompts, prepared.pairs, recipe)
    last = evaluate_last(repository, base, before, prepared.pairs, recipe)
    reference = keep_reference(base, prepared.pairs, recipe)
    tried = [try_out(base, prepared, before, reference, one) for one in candidates(recipe)]
    best, verdicts, table = pass_gate(tried, before, last, recipe)
    merged = merge_model(base, best.adapter, best.after, prepared.prompts, recipe)
    made = Aligned(
        recipe=best.recipe,
        before=before,
        adapter=best.adapter,
        after=best.after,
        gate=verdicts,
        tried=table,
        merged=merged,
    )
    return keep("aligned", made)


def try_out(
    base: ModelRef, prepared: Prepared, before: Folder, reference: Folder | None, recipe: Recipe
) -> Candidate:
    """One candidate, trained and evaluated; one that diverged leaves the others their turn."""
    try:
        adapter = train_lora(base, prepared.pairs, reference, recipe)
    except Diverged as error:
        return Candidate(recipe=recipe, diverged=str(error))
    after = evaluate_adapter(base, adapter, before, prepared.pairs, recipe)
    return Candidate(recipe=recipe, adapter=adapter, after=after)
