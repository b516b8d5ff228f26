"""evaluate -> train -> evaluate -> gate -> merge: pairs in, a model that passed its gate out."""

from prefect import flow

from tasks.core.models import ModelRef
from tasks.core.refs import Aligned, Prepared
from tasks.core.settings import Correction, Data, Evaluation, Gate, Lora, Loss, Training
from tasks.evaluate import evaluate_model
from tasks.gate import pass_gate
from tasks.merge import merge_model
from tasks.train import train_lora


@flow(name="align-model")
def align_model(
    base: ModelRef,
    prepared: Prepared,
    data: Data,
    curation: Correction | None,
    training: Training,
    loss: Loss,
    lora: Lora,
    evaluation: Evaluation,
    gate: Gate,
) -> Aligned:
    """Both evaluations ask the same held-out questions: their difference is what training did."""
    questions = (prepared.prompts, prepared.pairs, data, evaluation, curation, loss.beta)
    before = evaluate_model(base, *questions)
    adapter = train_lora(base, prepared.pairs, data, training, loss, lora, gate)
    after = evaluate_model(base, *questions, adapter=adapter, before=before)
    verdicts = pass_gate(adapter, before, after, gate)
    merged = merge_model(base, adapter, after, prepared.prompts, evaluation)
    return Aligned(before=before, adapter=adapter, after=after, gate=verdicts, merged=merged)
