"""Prompts -> the model's own greedy answers, in left-padded batches sorted by length.

in   conversations that end with the user
out  one Answer each, in the order asked; every distinct prompt is asked once
"""

from dataclasses import dataclass
from typing import Any

from tasks.core.reformat import Message
from tasks.core.render import prompt_ids


@dataclass(frozen=True)
class Answer:
    text: str
    finished: bool  # False: cut off at max_new_tokens


def generate(
    model: Any,
    tokenizer: Any,
    prompts: list[list[Message]],
    *,
    max_new_tokens: int,
    batch_size: int,
    title: str = "answers",
) -> list[Answer]:
    """Greedy answers; shows a progress bar on standard error."""
    import torch
    from tqdm import tqdm

    ids = [tuple(prompt_ids(tokenizer, prompt)) for prompt in prompts]
    waiting = sorted(set(ids), key=lambda one: (len(one), one))
    answers: dict[tuple[int, ...], Answer] = {}
    stops = _stop_ids(model, tokenizer)
    with tqdm(total=len(waiting), desc=title, unit="prompt", mininterval=1.0) as bar:
        for start in range(0, len(waiting), batch_size):
            batch = waiting[start : start + batch_size]
            width = max(len(one) for one in batch)
            padding = [[tokenizer.pad_token_id] * (width - len(one)) for one in batch]
            inputs = torch.tensor(
                [pad + list(one) for pad, one in zip(padding, batch, strict=True)]
            )
            mask = torch.tensor([[0] * len(pad) + [1] * (width - len(pad)) for pad in padding])
            with torch.inference_mode():
                output = model.generate(
                    input_ids=inputs.to(model.device),  # (batch, width), padded on the left
                    attention_mask=mask.to(model.device),
                    max_new_tokens=max_new_tokens,
                    do_sample=False,
                    temperature=None,
                    top_p=None,
                    top_k=None,
                    pad_token_id=tokenizer.pad_token_id,
                )
            for one, row in zip(batch, output[:, width:].tolist(), strict=True):
                answers[one] = _answer(tokenizer, row, stops)
            bar.update(len(batch))
    return [answers[one] for one in ids]


def _stop_ids(model: Any, tokenizer: Any) -> set[int]:
    stops = model.generation_config.eos_token_id
    return {tokenizer.eos_token_id, *(stops if isinstance(stops, list) else [stops])} - {None}


def _answer(tokenizer: Any, ids: list[int], stops: set[int]) -> Answer:
    end = next((place for place, token in enumerate(ids) if token in stops), None)
    text = tokenizer.decode(ids[:end], skip_special_tokens=True)
    return Answer(text=text.strip(), finished=end is not None)
