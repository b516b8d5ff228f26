"""Conversations with an answer -> token ids, in batches whose logits fit into memory.

in   a prompt and what was answered, rendered by the model's own chat template
out  Said: ids of both and where the answer begins; batches padded on the right, longest first
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.fields import Message
from tasks.core.models import stop_ids
from tasks.core.render import answer_ids, prompt_ids


@dataclass(frozen=True)
class Said:
    ids: tuple[int, ...]
    start: int  # the first token of the answer


def said(tokenizer: Any, prompt: list[Message], *answers: list[Message]) -> list[Said]:
    """One for each answer, with all that the template puts after it; as TRL's DPOTrainer scores."""
    start = len(prompt_ids(tokenizer, prompt))
    return [Said(tuple(answer_ids(tokenizer, prompt, answer)), start) for answer in answers]


def said_by_model(tokenizer: Any, prompt: list[Message], answer: str) -> Said:
    """A model's own answer: it ends with its end of turn, since nothing after it is generated."""
    [whole] = said(tokenizer, prompt, [{"role": "assistant", "content": answer}])
    stops = stop_ids(tokenizer)
    ends = (place for place in range(whole.start, len(whole.ids)) if whole.ids[place] in stops)
    return Said(whole.ids[: next(ends, len(whole.ids) - 1) + 1], whole.start)


@dataclass(frozen=True)
class Batch:
    """Some sequences, padded on the right; `scored` is true of tokens of answers."""

    places: list[int]  # of the rows, in what was given
    ids: Any  # (rows, width)
    mask: Any  # (rows, width)
    scored: Any  # (rows, answers): of the last columns, those that hold any answer

    def logits(self, model: Any) -> Any:
        """What predicts the last columns: (rows, answers, vocabulary), fp32, on the device."""
        import torch

        # Logits are tokens x vocabulary, the largest thing there is: none of the prompts' is made.
        kept = self.scored.shape[1] + 1
        with torch.inference_mode():
            found = model(self.ids, attention_mask=self.mask, logits_to_keep=kept).logits
            return found[:, -kept:-1].float()

    @property
    def answers(self) -> Any:
        """(rows, answers): the tokens that `logits` predicts."""
        return self.ids[:, -self.scored.shape[1] :]


def batches(
    sequences: Sequence[Said], pad: int, device: Any, batch_size: int, tokens: int
) -> Iterator[Batch]:
    """At most `batch_size` sequences and `tokens` tokens at once; a longer one comes alone."""
    import torch

    order = sorted(range(len(sequences)), key=lambda place: len(sequences[place].ids))
    while order:
        size = max(1, min(batch_size, tokens // len(sequences[order[-1]].ids)))
        places, order = order[-size:], order[:-size]
        of_batch = [sequences[place] for place in places]
        width = max(len(one.ids) for one in of_batch)
        ids = torch.full((len(of_batch), width), pad)
        mask = torch.zeros((len(of_batch), width), dtype=torch.long)
        scored = torch.zeros((len(of_batch), width), dtype=torch.bool)
        for line, one in enumerate(of_batch):
            ids[line, : len(one.ids)] = torch.tensor(one.ids)
            mask[line, : len(one.ids)] = 1
            scored[line, one.start : len(one.ids)] = True
        first = min(one.start for one in of_batch)
        yield Batch(places, ids.to(device), mask.to(device), scored[:, first:].to(device))
