"""Answers -> scores, by a reward model or by the rules of a recipe; higher is better.

in   (prompt, answer) of conversations; a sequence classifier with one output, or rules
out  one Score each: a number, or why there is none

A reward model reads prompt and answer by its own chat template, each conversation as if it were
alone: what stands beside it in a batch changes nothing but the last digits.
"""

import re
import string
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tasks.core.errors import InputError
from tasks.core.fields import Message
from tasks.core.generate import lacks_memory
from tasks.core.models import ModelRef, device, load_tokenizer_at, snapshot
from tasks.core.own_answers import said
from tasks.core.progress import progress
from tasks.core.refusals import refuses
from tasks.core.settings import Judging, Rule

Scored = tuple[list[Message], str]


class Score(NamedTuple):
    value: float | None
    error: str | None = None


Judge = Callable[[list[Scored]], list[Score]]

WITHOUT_SPACES = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
PUNCTUATION = string.punctuation + "“”‘’«»…–—·。，、！？；：（）「」《》"


def judge(how: Judging, reward: ModelRef | None, batch_size: int) -> Judge:
    """By the reward model where there is one, else by rules. It moves to the accelerator when it
    is asked, not before: until then the model that answers is there."""
    if reward is None:
        return lambda scored: [Score(rule_score(text, how.rules)) for _, text in scored]
    model, tokenizer = load_reward_model(reward)
    return lambda scored: reward_scores(model.to(device()), tokenizer, scored, batch_size)


def rule_score(text: str, rules: Iterable[Rule]) -> float:
    """The sum of the scores of those rules that hold."""
    return float(sum(rule.score for rule in rules if _holds(rule, text)))


def _holds(rule: Rule, text: str) -> bool:
    if rule.pattern is not None:
        return re.search(rule.pattern, text) is not None
    if rule.longer_than is not None:
        return len(words(text)) > rule.longer_than
    if rule.shorter_than is not None:
        return len(words(text)) < rule.shorter_than
    return refuses(text) is rule.refusal


def words(text: str) -> list[str]:
    """In lower case, without the punctuation around them; Han and kana by the character."""
    spaced = WITHOUT_SPACES.sub(r" \g<0> ", text.casefold()).split()
    return [word for part in spaced if (word := part.strip(PUNCTUATION))]


def load_reward_model(model: ModelRef) -> tuple[Any, Any]:
    """(model, tokenizer). Raises InputError if it is no classifier with one output, or no chat."""
    import torch
    from transformers import AutoModelForSequenceClassification

    told = f"on_policy.judge.reward_model {model}"
    folder = snapshot(model)
    tokenizer = load_tokenizer_at(folder)
    if not tokenizer.chat_template:
        raise InputError(f"{told}: its tokenizer has no chat template, so it reads no chats.")
    try:
        loaded, info = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"{told}: no sequence classifier can be loaded ({str(error).splitlines()[0]})."
        ) from error
    if info["missing_keys"]:
        raise InputError(
            f"{told}: its files lack {sorted(info['missing_keys'])[0]}, so its scores would be "
            "random. Give a reward model, not a model that writes."
        )
    if loaded.config.num_labels != 1:
        raise InputError(
            f"{told}: it has {loaded.config.num_labels} outputs, and which of them is the reward "
            "is not known. Give a reward model with one output."
        )
    return loaded.eval(), tokenizer


def reward_scores(model: Any, tokenizer: Any, scored: list[Scored], batch_size: int) -> list[Score]:
    """What the model gives each conversation; shows a progress bar on standard error."""
    from jinja2 import TemplateError

    found: dict[int, Score] = {}
    sequences: dict[int, list[int]] = {}
    room = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    for place, (prompt, text) in enumerate(scored):
        try:
            ids = tokenizer.apply_chat_template(prompt + said(text))["input_ids"]
        except TemplateError as error:
            found[place] = Score(None, f"the reward model's chat template refuses it: {error}")
            continue
        if room is not None and len(ids) > room:
            found[place] = Score(None, f"{len(ids)} tokens, the reward model reads {room}")
        else:
            sequences[place] = ids
    pad = _pad(model, sequences.values())
    order = sorted(sequences, key=lambda place: len(sequences[place]))
    size = batch_size
    with progress("scores", len(order), "answer") as advance:
        while order:
            batch = order[-size:]  # the longest first: where memory ends, it ends at once
            scores = _rewards(model, [sequences[place] for place in batch], pad)
            if scores is None and len(batch) > 1:
                size = len(batch) // 2
                continue
            order = order[: -len(batch)]
            alone = [Score(None, "out of memory, with nothing else in the batch")]
            found |= dict(zip(batch, scores or alone, strict=True))
            advance(len(batch))
    return [found[place] for place in range(len(scored))]


def _pad(model: Any, sequences: Iterable[list[int]]) -> int:
    """The model's own padding. Decoders score the last token that is no padding: where a model
    names none, its padding is a token that no sequence ends with, so that it is the very last."""
    if model.config.pad_token_id is None:
        ends = {ids[-1] for ids in sequences}
        model.config.pad_token_id = next(n for n in range(len(ends) + 1) if n not in ends)
    return int(model.config.pad_token_id)


def _rewards(model: Any, sequences: list[list[int]], pad: int) -> list[Score] | None:
    """None where memory does not suffice for all of them at once."""
    import torch

    width = max(len(ids) for ids in sequences)
    ids = torch.tensor([one + [pad] * (width - len(one)) for one in sequences])
    lengths = torch.tensor([[len(one)] for one in sequences])
    mask = (torch.arange(width) < lengths).long()  # (batch, width), padded on the right
    try:
        with torch.inference_mode():
            logits = model(ids.to(model.device), attention_mask=mask.to(model.device)).logits
    except (RuntimeError, MemoryError) as error:
        if not lacks_memory(error):
            raise
        return None
    return [_score(value) for value in logits[:, 0].float().cpu().tolist()]  # (batch, 1)


def _score(value: float) -> Score:
    finite = float("-inf") < value < float("inf")
    return Score(value) if finite else Score(None, f"the reward model gives {value}")
