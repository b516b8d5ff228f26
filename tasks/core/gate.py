"""What a recipe demands of a trained model, as sentences with their numbers. Pure.

in   the recipe's sentences; metrics of the model, of its base and of the last release
out  one Verdict for each sentence; a refusal names metric, value and threshold
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.core.sentences import GATE, parse

LEAST_PROMPTS = 20  # on fewer held-out prompts a bootstrap interval has no width to speak of
ALWAYS = ("equal < 1",)  # training that changed no greedy answer is not released
BEHAVIOUR = ("strict", "exact", "same")


@dataclass(frozen=True)
class Verdict:
    text: str  # the sentence
    value: float
    threshold: float
    plain: bool  # the sentence says the threshold itself
    passed: bool

    def __str__(self) -> str:
        word = "passed" if self.passed else "REFUSED"
        value = "it was not measured" if math.isnan(self.value) else f"it is {self.value + 0:.4g}"
        if math.isnan(self.threshold):
            why = "nothing was released before" if self.passed else "nothing to compare with"
            return f"{word}: {self.text}: {why}; {value}"
        return f"{word}: {self.text}{'' if self.plain else f' = {self.threshold:.4g}'}: {value}"


def judge(
    sentences: Sequence[str],
    metrics: Mapping[str, float],
    base: Mapping[str, float],
    last: Mapping[str, float] | None,
) -> list[Verdict]:
    """One verdict a sentence; what was not measured meets no demand.

    `last` is None where nothing was released before: then there is nothing to fall behind.
    """
    of_intervals = any(parse(text, GATE).metric.endswith("_low") for text in sentences)
    counted = (f"prompts >= {LEAST_PROMPTS}",) if of_intervals else ()
    verdicts = []
    for text in (*ALWAYS, *counted, *sentences):
        sentence = parse(text, GATE)
        value = metrics.get(sentence.metric, math.nan)
        threshold = sentence.threshold(last if sentence.word == "last" else base)
        first = sentence.word == "last" and last is None
        passed = not math.isnan(value) if first else sentence.holds(value, threshold)
        verdicts.append(Verdict(sentence.text, value, threshold, sentence.word is None, passed))
    return verdicts


def asks_for_last(sentences: Sequence[str]) -> bool:
    """Whether the last release has to be evaluated as well."""
    return any(parse(text, GATE).word == "last" for text in sentences)


def standing(verdicts: Sequence[Verdict], metrics: Mapping[str, float]) -> tuple[int, float]:
    """How well a candidate of a sweep does; the largest is the best.

    Sentences not met count first. Then the mean of strict, exact and same where names are asked
    about, else reward_accuracy.
    """
    met = -sum(not verdict.passed for verdict in verdicts)
    shares = [metrics[name] for name in BEHAVIOUR if name in metrics]
    mean = sum(shares) / len(shares) if shares else metrics["reward_accuracy"]
    return met, -math.inf if math.isnan(mean) else mean
