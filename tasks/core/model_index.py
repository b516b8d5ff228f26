"""Measured metrics -> the model-index of a card, which the Hub shows beside it.

in   metrics of an evaluation, by their names in tasks.core.evaluate and tasks.core.behaviour
out  https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

OF_PAIRS = {
    "reward_accuracy": "The chosen answer gained more likelihood",
    "reward_margin": "Margin of the implicit rewards, nats",
    "preference_accuracy": "The chosen answer is the likelier one",
}
OF_ANSWERS = {
    "strict": "Says the new name and no bare old one",
    "exact": "The earlier answer with the name replaced",
    "same": "Other answers unchanged to the byte",
    "leak": "New name where it has no place",
    "old_name": "Still says an old name",
    "denial": "Denies to be another model",
    "equal": "Answers that are the base's own",
    "refusals_harmless": "Harmless questions refused",
    "refusals_harmful": "Harmful questions refused",
    "strict_plain": "strict without a system message",
    "strict_system": "strict with a system message",
    "strict_turns": "strict after more turns",
    "strict_languages": "strict, mean over languages",
    "unfinished": "Answers cut off",
    "kl": "KL from the base, nats a token of its own answers",
}
OF_TEXT = {"perplexity": "Perplexity"}


def model_index(
    name: str, metrics: Mapping[str, float], dataset: str, version: str
) -> list[dict[str, Any]]:
    """`name`: the repository's; `dataset` and `version`: where the held-out pairs are."""
    from huggingface_hub.repocard_data import eval_results_to_model_index

    return eval_results_to_model_index(name, list(_results(metrics, dataset, version)))


def _results(metrics: Mapping[str, float], dataset: str, version: str) -> Iterator["EvalResult"]:
    """What is not finite is left out: YAML and the Hub would not agree on it."""
    from huggingface_hub import EvalResult

    split = {"dataset_split": "test", "dataset_revision": version}
    groups: tuple[tuple[Mapping[str, str], dict[str, Any]], ...] = (
        (OF_PAIRS, {"dataset_type": dataset, "dataset_name": f"{dataset}, test split", **split}),
        (OF_ANSWERS, {"dataset_type": "questions", "dataset_name": "held-out questions"}),
        (OF_TEXT, {"dataset_type": "text", "dataset_name": "a text never trained on"}),
    )
    for names, where in groups:
        for metric, told in names.items():
            if metric in metrics and math.isfinite(metrics[metric]):
                yield EvalResult(
                    task_type="text-generation",
                    task_name="Text generation",
                    metric_type=metric,
                    metric_name=told,
                    metric_value=metrics[metric],
                    **where,
                )
