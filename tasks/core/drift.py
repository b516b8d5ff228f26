"""How far a model is from its base where nobody asked it to change: perplexity and KL.

in   a text that was never trained on; the model's own answers to held-out prompts
out  perplexity, a plain number; the mean of KL(policy || base) over answer tokens, in nats
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from tasks.core.errors import InputError
from tasks.core.fields import Message
from tasks.core.progress import progress
from tasks.core.sequences import batches, said_by_model

TOKENS = 1024  # at once; with a vocabulary of 151,936 the logits of both models are 1.2 GB


def perplexity(
    model: Any, tokenizer: Any, text: str, window: int = 512, title: str = "perplexity"
) -> float:
    """exp of the mean negative log-likelihood of a token, in nats, the first token left out.

    Every token is scored once, with at least half a window before it as far as there is that much.
    """
    import torch

    ids = torch.tensor(tokenizer(text, verbose=False)["input_ids"], device=model.device)
    if len(ids) < 2:
        raise InputError(f"evaluation.text: {len(ids)} tokens, perplexity needs at least two.")
    room = getattr(model.config.get_text_config(), "max_position_embeddings", None) or window
    window = min(window, room, len(ids))
    total, end = 0.0, 1
    with progress(title, len(ids) - 1, "token") as advance:
        while end < len(ids):
            # The first window scores all but its first token, each other one its second half.
            new = min(window - 1 if end == 1 else window // 2, len(ids) - end)
            seen = ids[max(0, end + new - window) : end + new]
            with torch.inference_mode():
                logits = model(seen[None], logits_to_keep=new + 1).logits[0, -new - 1 : -1]
            total += float(torch.nn.functional.cross_entropy(logits.float(), seen[-new:]) * new)
            end += new
            advance(new)
    return math.exp(total / (len(ids) - 1))


def kl(
    policy: Any,
    base: Any | None,
    tokenizer: Any,
    conversations: Sequence[tuple[list[Message], str]],
    batch_size: int,
    title: str = "KL to the base",
) -> float:
    """Mean over answer tokens of KL(policy || base) in nats, exact over the whole vocabulary.

    `conversations`: prompts with the policy's own answers. Where `base` is None the policy has an
    adapter, and is its own base without it.
    """
    import torch

    sequences = [said_by_model(tokenizer, prompt, answer) for prompt, answer in conversations]
    sums = tokens = 0.0
    with progress(title, len(sequences), "answer") as advance:
        for batch in batches(sequences, tokenizer.pad_token_id, policy.device, batch_size, TOKENS):
            p = batch.logits(policy)[batch.scored]  # (answer tokens, vocabulary)
            with policy.disable_adapter() if base is None else nullcontext():
                q = batch.logits(policy if base is None else base)[batch.scored]
            # Models of one family pad their vocabulary differently; nothing is ever said beyond.
            known = min(p.shape[-1], q.shape[-1])
            p, q = (logits[:, :known].log_softmax(-1) for logits in (p, q))
            with torch.inference_mode():
                sums += float((p.exp() * (p - q)).sum())
            tokens += len(p)
            advance(len(batch.places))
    return sums / tokens
