"""What one model says to the held-out questions, and how likely it finds the held-out pairs.

in   a model, questions, pairs, perhaps a text
out  Asked: answers and samples, log-probabilities in nats, perplexity, KL to the base; and what
     two of them say about a training: rewards and margins with bootstrap intervals

behaviour.py says what became of the answers. The numbers here are of held-out pairs; a training
that wrecks every answer improves most of them.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.core import drift
from tasks.core.errors import InputError
from tasks.core.fields import Row
from tasks.core.generate import generate, sample
from tasks.core.progress import progress
from tasks.core.render import prompt_ids
from tasks.core.rows import read_rows, write_rows
from tasks.core.sequences import Said, batches, said
from tasks.core.settings import Measure

SCORED_TOKENS = 4096  # at once; with a vocabulary of 151,936 their logits are 2.5 GB
SEED = 0  # of sampled answers: the same draws before and after

Logps = tuple[list[float], list[float]]  # of chosen and rejected, one for each pair


@dataclass(frozen=True)
class Scores:
    """Of held-out pairs, one for each: log-probability of an answer in nats, and its tokens."""

    chosen: list[float]
    rejected: list[float]
    chosen_tokens: list[int]
    rejected_tokens: list[int]

    @property
    def logps(self) -> Logps:
        return self.chosen, self.rejected


@dataclass(frozen=True)
class Asked:
    """One model's part of an evaluation."""

    answers: list[Row]  # the questions, each with answer, finished, tokens, samples
    scores: Scores
    perplexity: float | None  # of the kept text
    kl: float | None  # to the base, in nats a token, on its own answers to held-out prompts

    def write(self, folder: Path) -> None:
        """answers.parquet and scores.json."""
        write_rows(folder / "answers.parquet", self.answers)
        numbers = {"scores": asdict(self.scores), "perplexity": self.perplexity, "kl": self.kl}
        (folder / "scores.json").write_text(json.dumps(numbers))


def read_asked(folder: Path) -> Asked:
    numbers = json.loads((folder / "scores.json").read_text())
    scores = Scores(**numbers.pop("scores"))
    return Asked(answers=read_rows(folder / "answers.parquet"), scores=scores, **numbers)


def askable(tokenizer: Any, questions: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """(questions that the chat template renders, those it refuses, as Gemma's does with a system
    message)."""
    from jinja2 import TemplateError

    taken, refused = [], []
    for question in questions:
        try:
            prompt_ids(tokenizer, question["prompt"])
        except TemplateError:
            refused.append(question)
        else:
            taken.append(question)
    return taken, refused


def asked(
    model: Any,
    tokenizer: Any,
    questions: list[Row],
    pairs: list[Row],
    measure: Measure,
    *,
    text: str | None,
    title: str,
    base: Any | None = None,
) -> Asked:
    """Everything that is measured of one loaded model.

    `base` is needed for the KL of a model that is neither the base nor has an adapter on it.
    """
    from peft import PeftModel

    if not pairs:
        raise InputError("evaluate: no held-out pair. Raise splits.test or give more prompts.")
    size = measure.batch_size
    answers = _answers(model, tokenizer, questions, measure, title)
    own_base = base is not None or isinstance(model, PeftModel)
    return Asked(
        answers=answers,
        scores=score(model, tokenizer, pairs, size, f"{title}: pairs"),
        perplexity=drift.perplexity(model, tokenizer, text, title=f"{title}: perplexity")
        if text
        else None,
        kl=_kl(model, base, tokenizer, answers, size, f"{title}: KL to the base")
        if own_base
        else None,
    )


def _answers(
    model: Any, tokenizer: Any, questions: list[Row], measure: Measure, title: str
) -> list[Row]:
    prompts = [row["prompt"] for row in questions]
    limits: dict[str, Any] = measure.model_dump(include={"max_new_tokens", "batch_size"})
    greedy = generate(model, tokenizer, prompts, **limits, title=f"{title}: answers")
    samples: list[list[str]] = [[] for _ in prompts]
    if measure.samples:
        drawn = sample(
            model,
            tokenizer,
            prompts,
            samples=measure.samples,
            temperature=measure.temperature,
            top_p=1.0,
            seed=SEED,
            **limits,
            title=f"{title}: samples",
        )
        samples = [[answer.text for answer in answers] for answers in drawn]
    return [
        question
        | {
            "answer": answer.text,
            "finished": answer.finished,
            "tokens": answer.tokens,
            "samples": texts,
        }
        for question, answer, texts in zip(questions, greedy, samples, strict=True)
    ]


def _kl(
    model: Any, base: Any | None, tokenizer: Any, answers: list[Row], size: int, title: str
) -> float | None:
    talks = [(row["prompt"], row["answer"]) for row in answers if row["kind"] == "held-out"]
    return drift.kl(model, base, tokenizer, talks, size, title) if talks else None


def score(
    model: Any, tokenizer: Any, rows: list[Row], batch_size: int, title: str = "pairs"
) -> Scores:
    """Both answers of each pair. The tokens are those that TRL's DPOTrainer scores: all after the
    prompt, the template's end of turn among them."""
    both = [said(tokenizer, row["prompt"], row["chosen"], row["rejected"]) for row in rows]
    chosen, rejected = ([one[side] for one in both] for side in (0, 1))
    logps = _logps(model, tokenizer, [*chosen, *rejected], batch_size, title)
    return Scores(
        chosen=logps[: len(rows)],
        rejected=logps[len(rows) :],
        chosen_tokens=[len(one.ids) - one.start for one in chosen],
        rejected_tokens=[len(one.ids) - one.start for one in rejected],
    )


def _logps(
    model: Any, tokenizer: Any, sequences: list[Said], batch_size: int, title: str
) -> list[float]:
    sums = [0.0] * len(sequences)
    with progress(title, len(sequences), "answer") as advance:
        for batch in batches(
            sequences, tokenizer.pad_token_id, model.device, batch_size, SCORED_TOKENS
        ):
            logits = batch.logits(model)
            of_token = logits.gather(-1, batch.answers[..., None]).squeeze(-1)
            logps = of_token - logits.logsumexp(-1)  # (rows, answers), in nats
            totals = logps.where(batch.scored, 0.0).sum(-1)
            for place, total in zip(batch.places, totals.tolist(), strict=True):
                sums[place] = total
            advance(len(batch.places))
    return sums


def metrics(after: Asked, before: Asked, beta: float, prompts: Sequence[str]) -> dict[str, float]:
    """All numbers but those of behaviour; of the base itself where `after` is `before`.

    `prompts` names the prompt of each pair. What was not measured is absent.
    """
    known = {
        "perplexity": after.perplexity,
        "kl": 0.0 if after is before else after.kl,
    }
    return {
        **reward_metrics(after.scores.logps, before.scores.logps, beta, prompts),
        "preference_accuracy": preference_accuracy(after.scores.logps),
        "chosen_tokens": _mean(after.scores.chosen_tokens),
        "rejected_tokens": _mean(after.scores.rejected_tokens),
        **{name: value for name, value in known.items() if value is not None},
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def reward_metrics(
    policy: Logps, reference: Logps, beta: float, prompts: Sequence[str]
) -> dict[str, float]:
    """DPO's implicit rewards on held-out pairs; Rafailov et al. 2023, section 4.

    reward = beta * (log p_policy - log p_reference) of an answer; margin: the chosen answer's less
    the rejected one's. `reward_accuracy` is the share of pairs whose margin is above 0 (ties count
    half; chance is 0.5). It and the mean margin come with a 95 % percentile bootstrap interval.
    `prompts` names each pair's prompt: pairs of one prompt are drawn together, since they are not
    independent.
    """
    import numpy as np

    chosen, rejected = (
        beta * (np.array(p) - np.array(r)) for p, r in zip(policy, reference, strict=True)
    )
    found: dict[str, float] = {"pairs": len(chosen), "prompts": len(set(prompts))}
    wins = (chosen > rejected) + 0.5 * (chosen == rejected)
    for name, values in (("reward_accuracy", wins), ("reward_margin", chosen - rejected)):
        low, high = bootstrap_interval(values.tolist(), prompts)
        found |= {name: float(values.mean()), f"{name}_low": low, f"{name}_high": high}
    return found | {
        "chosen_reward": float(chosen.mean()),
        "rejected_reward": float(rejected.mean()),
    }


def bootstrap_interval(
    values: Sequence[float], groups: Sequence[str], draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of the mean, groups resampled with replacement; Efron 1979."""
    import numpy as np

    _, places = np.unique(np.asarray(groups), return_inverse=True)
    sums, counts = np.bincount(places, weights=values), np.bincount(places)
    random = np.random.default_rng(seed)
    drawn = random.integers(0, len(sums), size=(draws, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def preference_accuracy(logps: Logps) -> float:
    """Share of pairs whose chosen answer is the likelier one; ties count half. Chance is 0.5."""
    wins = [1.0 if c > r else 0.5 if c == r else 0.0 for c, r in zip(*logps, strict=True)]
    return sum(wins) / len(wins)
