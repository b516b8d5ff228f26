"""What a recipe demands of a trained model, as sentences with their numbers. Pure.

in   facts of training, metrics of both evaluations, the recipe's gate
out  one Verdict for each demand; a refusal names metric, value and threshold
"""

from collections.abc import Mapping
from dataclasses import dataclass

LEAST_PROMPTS = 20


@dataclass(frozen=True)
class Verdict:
    metric: str
    value: float
    comparison: str
    threshold: float
    passed: bool

    def __str__(self) -> str:
        word = "passed" if self.passed else "REFUSED"
        required = f"required {self.comparison} {self.threshold:.4g}"
        return f"{word}: {self.metric} = {self.value:.4g}, {required}"


def judge(
    training: Mapping[str, float],
    after: Mapping[str, float],
    *,
    token_accuracy: float | None,
    chosen_rewards: float | None,
    strict: float | None,
    exact: float | None,
    same: float | None,
    reward_accuracy: float | None,
) -> list[Verdict]:
    """One verdict for each demand that is set; what was not measured counts as 0."""
    verdicts = []

    def demand(metric: str, value: float, threshold: float | None, comparison: str = ">=") -> None:
        if threshold is not None:
            passed = value > threshold if comparison == ">" else value >= threshold
            verdicts.append(Verdict(metric, value, comparison, threshold, passed))

    reached = training["token_accuracy"]
    if token_accuracy is not None:
        before = training["token_accuracy_before"]
        demand("not diverged: token_accuracy, not below its start,", reached, before)
    demand("not diverged: chosen_rewards", training["chosen_rewards"], chosen_rewards)
    demand("converged: token_accuracy", reached, token_accuracy)
    for metric, threshold in (("strict", strict), ("exact", exact), ("same", same)):
        demand(metric, after.get(metric, 0.0), threshold)
    low = after["reward_accuracy_low"]
    if reward_accuracy is not None:  # on a few lucky prompts the interval has no width
        demand("held-out prompts", after["prompts"], LEAST_PROMPTS)
    demand("reward_accuracy, lower end of its 95 % interval,", low, reward_accuracy, ">")
    return verdicts
