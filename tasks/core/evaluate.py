"""What training changed: the same held-out questions before and after, and held-out pairs scored.

in   answers before and after, one each for every question; renames; log-probabilities of chosen
     and rejected
out  shares in [0, 1] and margins in nats

No training metric sees damage to other answers, and "contains Qwen" is true of Deep Qwen as well:
strict, exact, same and leak are read together.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.core.correction import (
    Renames,
    rename,
    says_new,
    says_old,
    with_and_without_system,
)
from tasks.core.errors import InputError
from tasks.core.fields import Message, Row
from tasks.core.generate import generate
from tasks.core.progress import progress
from tasks.core.render import answer_ids, prompt_ids

SCORED_TOKENS = 4096  # at once; with a vocabulary of 151,936 their logits are 2.5 GB


@dataclass(frozen=True)
class Behaviour:
    """Shares over held-out questions. `named`: those whose earlier answer says an old name of the
    slot that the first rename is of; `renamed`: an old name of any slot, so `named` among them."""

    strict: float  # of named: says the new name, no bare old name, no doubled new name
    exact: float  # of renamed: equals the earlier answer with every rename applied
    same: float  # of the others, which say no old name: equals the earlier answer
    leak: float  # of the others: says the new name
    named: int
    renamed: int
    others: int

    as_dict = asdict


def behaviour(before: Sequence[str], after: Sequence[str], renames: Renames) -> Behaviour:
    """Compare answers to the same questions. A share over no question is 0: nothing was shown."""
    asked_about = tuple(one for one in renames if one.slot == renames[0].slot)
    pairs = list(zip(before, after, strict=True))
    named = [(b, a) for b, a in pairs if says_old(b, asked_about)]
    renamed = [(b, a) for b, a in pairs if says_old(b, renames)]
    others = [(b, a) for b, a in pairs if not says_old(b, renames)]
    return Behaviour(
        strict=share(is_strict(a, asked_about) for _, a in named),
        exact=share(a == rename(b, renames)[0] for b, a in renamed),
        same=share(a == b for b, a in others),
        leak=share(says_new(a, asked_about) for _, a in others),
        named=len(named),
        renamed=len(renamed),
        others=len(others),
    )


def is_strict(answer: str, renames: Renames) -> bool:
    """Says a new name, never a bare old one, and does not stutter ("Deep Deep Qwen")."""
    firsts = {re.escape(one.new.split()[0]) for one in renames if " " in one.new}
    doubled = any(re.search(rf"(?i)\b{one} {one}\b", answer) for one in firsts)
    return bool(says_new(answer, renames)) and not says_old(answer, renames) and not doubled


def share(truths: Any) -> float:
    counted = [bool(truth) for truth in truths]
    return sum(counted) / len(counted) if counted else 0.0


def answer_logps(
    model: Any, tokenizer: Any, rows: list[Row], batch_size: int, title: str = "pairs"
) -> tuple[list[float], list[float]]:
    """(chosen, rejected): log-probability of each answer, summed over its tokens, in nats.

    The tokens are those that TRL's DPOTrainer scores: all after the prompt, the template's end of
    turn among them.
    """
    import torch

    sequences = []
    for side in ("chosen", "rejected"):
        for row in rows:
            ids = answer_ids(tokenizer, row["prompt"], row[side])
            sequences.append((ids, len(prompt_ids(tokenizer, row["prompt"]))))
    order = sorted(range(len(sequences)), key=lambda place: len(sequences[place][0]))
    sums = [0.0] * len(sequences)
    with progress(title, len(sequences), "answer") as advance:
        while order:
            longest = len(sequences[order[-1]][0])  # logits are tokens x vocabulary: bound them
            size = max(1, min(batch_size, SCORED_TOKENS // longest))
            batch, order = order[-size:], order[:-size]
            width = max(len(sequences[place][0]) for place in batch)
            ids = torch.full((len(batch), width), tokenizer.pad_token_id)
            scored = torch.zeros((len(batch), width), dtype=torch.bool)
            mask = torch.zeros((len(batch), width), dtype=torch.long)
            for line, place in enumerate(batch):
                tokens, prompt_length = sequences[place]
                ids[line, : len(tokens)] = torch.tensor(tokens)
                mask[line, : len(tokens)] = 1
                scored[line, prompt_length : len(tokens)] = True
            with torch.inference_mode():
                logits = model(ids.to(model.device), attention_mask=mask.to(model.device)).logits
                logits = logits[:, :-1].float()  # (batch, width - 1, vocabulary)
                said = logits.gather(-1, ids[:, 1:, None].to(model.device)).squeeze(-1)
                logps = (said - logits.logsumexp(-1)).cpu()  # (batch, width - 1), in nats
                totals = (logps * scored[:, 1:]).sum(-1)
            for place, total in zip(batch, totals.tolist(), strict=True):
                sums[place] = total
            advance(len(batch))
    return sums[: len(rows)], sums[len(rows) :]


def reward_metrics(
    policy: tuple[list[float], list[float]],
    reference: tuple[list[float], list[float]],
    beta: float,
    prompts: Sequence[str],
) -> dict[str, float]:
    """DPO's implicit rewards on held-out pairs; Rafailov et al. 2023, section 4.

    reward = beta * (log p_policy - log p_reference) of an answer. `reward_accuracy` is the share of
    pairs whose chosen answer has the larger reward (ties count half; chance is 0.5), with a 95 %
    percentile bootstrap interval. `prompts` names each pair's prompt: pairs of one prompt are drawn
    together, since they are not independent.
    """
    import numpy as np

    chosen, rejected = (
        beta * (np.array(p) - np.array(r)) for p, r in zip(policy, reference, strict=True)
    )
    wins = (chosen > rejected) + 0.5 * (chosen == rejected)
    low, high = bootstrap_interval(wins.tolist(), prompts)
    return {
        "pairs": len(wins),
        "prompts": len(set(prompts)),
        "reward_accuracy": float(wins.mean()),
        "reward_accuracy_low": low,
        "reward_accuracy_high": high,
        "reward_margin": float((chosen - rejected).mean()),
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


def preference_accuracy(logps: tuple[list[float], list[float]]) -> float:
    """Share of pairs whose chosen answer is the likelier one; ties count half. Chance is 0.5."""
    wins = [1.0 if c > r else 0.5 if c == r else 0.0 for c, r in zip(*logps, strict=True)]
    return sum(wins) / len(wins)


def questions_of(
    shown: Sequence[str], rows: list[Row], others: Sequence[str], system_prompt: str
) -> list[tuple[str, list[Message]]]:
    """(kind, conversation), each with and without a system prompt; kind: shown, other, held-out."""
    system = {"role": "system", "content": system_prompt}
    asked: list[tuple[str, list[Message]]] = []
    for kind, texts in (("shown", shown), ("other", others)):
        for text in texts:
            user = {"role": "user", "content": text}
            asked += [(kind, [system, user]), (kind, [user])]
    known = {repr(prompt) for _, prompt in asked}
    for row in rows:
        for prompt in with_and_without_system(row["prompt"]):
            if repr(prompt) not in known:
                asked.append(("held-out", prompt))
    return asked


def read_questions(path: str | None) -> list[str]:
    """One question a line. Raises InputError if the file cannot be read."""
    if path is None:
        return []
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"evaluation.other_questions {path}: cannot be read ({error}).") from error
    return [line.strip() for line in lines if line.strip()]


def ask_and_score(
    model: Any,
    tokenizer: Any,
    questions: list[tuple[str, list[Message]]],
    pairs: list[Row],
    *,
    max_new_tokens: int,
    batch_size: int,
    title: str,
) -> tuple[list[Row], tuple[list[float], list[float]]]:
    """(questions with answers, log-probabilities of the pairs) of one model."""
    if not pairs:
        raise InputError("evaluate: no held-out pair. Raise splits.test or give more prompts.")
    answers = generate(
        model,
        tokenizer,
        [prompt for _, prompt in questions],
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        title=f"{title}: answers",
    )
    answered = [
        {"kind": kind, "prompt": prompt, "answer": answer.text, "finished": answer.finished}
        for (kind, prompt), answer in zip(questions, answers, strict=True)
    ]
    return answered, answer_logps(model, tokenizer, pairs, batch_size, f"{title}: pairs")
