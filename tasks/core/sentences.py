"""What a recipe demands, one sentence a demand: `strict >= 0.9`, `perplexity <= 1.1 * base`. Pure.

in   a sentence: METRIC COMPARISON VALUE, where VALUE is a number, or a word with a factor before
     and a difference behind it, as in `0.9 * base + 0.05`
out  a Sentence that knows its threshold once the values of its word are known

Words: in a recipe's gate `base` (the model before training) and `last` (the last release of the
same repository), in `watch` `start` (the first evaluation, before the first step).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

# What every evaluation on the validation pairs gives: TRL's names, without their slashes.
TRAINING = {
    "loss": "eval_loss",
    "chosen_rewards": "eval_rewards/chosen",
    "rejected_rewards": "eval_rewards/rejected",
    "reward_accuracy": "eval_rewards/accuracies",
    "reward_margin": "eval_rewards/margins",
    "token_accuracy": "eval_mean_token_accuracy",
    "chosen_logps": "eval_logps/chosen",
    "rejected_logps": "eval_logps/rejected",
    "entropy": "eval_entropy",
}

# What the evaluation on held-out questions and pairs gives -> the setting without which it does
# not. tasks/core/behaviour.py and tasks/core/evaluate.py say what each of them means.
HELD_OUT = {
    "reward_accuracy": "",
    "reward_accuracy_low": "",
    "reward_margin": "",
    "reward_margin_low": "",
    "chosen_reward": "",
    "rejected_reward": "",
    "preference_accuracy": "",
    "prompts": "",
    "equal": "",
    "answer_tokens": "",
    "chosen_tokens": "",
    "rejected_tokens": "",
    "unfinished": "",
    "kl": "measure.max_prompts",
    "perplexity": "evaluation.text",
    "strict": "curation.renames",
    "exact": "curation.renames",
    "same": "curation.renames",
    "leak": "curation.renames",
    "old_name": "curation.renames",
    "strict_plain": "curation.renames",
    "strict_system": "curation.renames",
    "strict_turns": "evaluation.identity_questions",
    "strict_languages": "evaluation.identity_questions",
    "languages": "evaluation.identity_questions",
    "denial": "evaluation.identity_questions",
    "strict_sampled": "measure.samples",
    "old_name_sampled": "measure.samples",
    "refusals_harmless": "evaluation.harmless_questions",
    "refusals_harmful": "evaluation.harmful_questions",
}
GATE = {**HELD_OUT, **{f"validation.{name}": "" for name in TRAINING}}
SHARES = {
    *(name for name in GATE if name.startswith(("strict", "refusals_", "old_name"))),
    *("exact", "same", "leak", "denial", "equal", "unfinished", "token_accuracy"),
    *("reward_accuracy", "reward_accuracy_low", "preference_accuracy"),
}
OF_NAMES = {
    *(name for name in GATE if name.startswith(("strict", "old_name"))),
    *("exact", "same", "leak", "languages"),
}
WORDS = {"gate": ("base", "last"), "training": ("start",)}
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
FORM = re.compile(
    rf"\s*(?P<metric>[\w.]+)\s*(?P<comparison>>=|<=|>|<)\s*"
    rf"(?:(?P<number>{NUMBER})|(?:(?P<factor>{NUMBER})\s*\*\s*)?(?P<word>[a-z]+)"
    rf"(?:\s*(?P<sign>[-+])\s*(?P<more>\d+\.?\d*|\.\d+))?)\s*\Z"
)


@dataclass(frozen=True)
class Sentence:
    """`factor * word + more` is the threshold; without a word `more` alone."""

    text: str
    metric: str
    comparison: str
    word: str | None
    factor: float
    more: float

    def threshold(self, values: Mapping[str, float] | None = None) -> float:
        """`values`: the metrics of the model that the word names. NaN: it has no such metric."""
        if self.word is None:
            return self.more
        return self.factor * (values or {}).get(self.metric, math.nan) + self.more

    def holds(self, value: float, threshold: float) -> bool:
        """A value that is no number holds nothing, and nothing holds against one."""
        return {
            ">=": value >= threshold,
            "<=": value <= threshold,
            ">": value > threshold,
            "<": value < threshold,
        }[self.comparison]


def parse(text: str, metrics: Mapping[str, str]) -> Sentence:
    """Raises ValueError that says what is wrong with it and what is known."""
    found = FORM.match(text)
    words = WORDS["gate" if metrics is GATE else "training"]
    if found is None:
        raise ValueError(
            f"{text!r} is no sentence: METRIC, one of >= <= > <, and a number or "
            f"`FACTOR * {words[0]} + NUMBER`, as in `{next(iter(metrics))} >= 0.9`"
        )
    if found["metric"] not in metrics:
        raise ValueError(f"{text!r}: no metric {found['metric']!r}; known: {', '.join(metrics)}")
    if found["word"] is not None and found["word"] not in words:
        raise ValueError(
            f"{text!r}: {found['word']!r} is neither a number nor {' or '.join(words)}"
        )
    more = float(found["number"] or found["more"] or 0)
    _refuse_what_never_holds(text, found["metric"], found["word"], more)
    return Sentence(
        text=" ".join(text.split()),
        metric=found["metric"],
        comparison=found["comparison"],
        word=found["word"],
        factor=float(found["factor"] or 1),
        more=-more if found["sign"] == "-" else more,
    )


def _refuse_what_never_holds(text: str, metric: str, word: str | None, more: float) -> None:
    if word is None and metric.removeprefix("validation.") in SHARES and not 0 <= more <= 1:
        raise ValueError(f"{text!r}: {metric} is a share, between 0 and 1")
    if word == "last" and metric.startswith("validation."):
        raise ValueError(
            f"{text!r}: of the last release no validation metric is measured again, since its "
            "training is over; compare a metric of the held-out questions"
        )
    if word == "base" and metric == "kl":
        raise ValueError(f"{text!r}: the base's KL to itself is 0; give a number of nats")


def needed_for(metric: str) -> tuple[str, ...]:
    """The settings without which a metric of the gate is not measured."""
    names = ("curation.renames",) if metric in OF_NAMES else ()
    return tuple(dict.fromkeys((*names, *filter(None, (GATE[metric],)))))


def _gate(text: str) -> str:
    return parse(text, GATE).text


def _training(text: str) -> str:
    return parse(text, TRAINING).text


GateSentence = Annotated[str, AfterValidator(_gate)]
TrainingSentence = Annotated[str, AfterValidator(_training)]
