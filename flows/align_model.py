"""evaluate -> train -> evaluate -> gate -> merge: pairs in, a model that passed its gate out."""

from prefect import flow

from tasks.core.models import ModelRef
from tasks.core.refs import Aligned, Prepared
from tasks.core.settings import Correction, Data, Evaluation, Gate, Lora, Loss, Training
from tasks.evaluate import evaluate_adapter, evaluate_base
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
    before = evaluate_base(base, prepared.prompts, prepared.pairs, data, evaluation, curation)
    adapter = train_lora(base, prepared.pairs, data, training, loss, lora, gate)
    after = evaluate_adapter(base, adapter, before, prepared.pairs, evaluation, curation, loss.beta)
    verdicts = pass_gate(adapter, before, after, gate)
    merged = merge_model(base, adapter, after, prepared.prompts, evaluation)
    return Aligned(before=before, adapter=adapter, after=after, gate=verdicts, merged=merged)
