"""Base + adapter -> one model of the base's own kind, proven to answer as the two did.

in   the base at its commit, an adapter, at least 50 held-out conversations
out  config.json, generation_config.json, model.safetensors in fp32; parity figures
"""

from pathlib import Path
from typing import Any

from tasks.core.errors import Refused
from tasks.core.generate import generate
from tasks.core.models import ModelRef, load_model, load_tokenizer
from tasks.core.reformat import Message
from tasks.core.render import prompt_ids

LOGIT_LIMIT = 1e-4  # fp32; 9.1e-6 was measured on the tiny model
LEAST_PROMPTS = 50


def merge_adapter(
    base: ModelRef,
    adapter: Path,
    prompts: list[list[Message]],
    folder: Path,
    *,
    max_new_tokens: int,
    batch_size: int,
) -> dict[str, Any]:
    """Merge in fp32, save, load what was saved, and compare it with the adapter model.

    Raises Refused if a logit differs by 1e-4 or more, or a greedy answer at all.
    """
    from transformers import AutoModelForCausalLM

    if len(prompts) < LEAST_PROMPTS:
        raise Refused(
            f"merge: {len(prompts)} held-out prompts, at least {LEAST_PROMPTS} are needed to "
            "compare the merged model. Raise splits.test or add evaluation.other_questions."
        )
    tokenizer = load_tokenizer(base)
    with_adapter = load_model(base, adapter)
    settings = {"max_new_tokens": max_new_tokens, "batch_size": batch_size}
    said_before = generate(with_adapter, tokenizer, prompts, **settings, title="adapter answers")
    logits = [_last_logits(with_adapter, tokenizer, prompt) for prompt in prompts]
    merged = with_adapter.merge_and_unload()
    merged.save_pretrained(folder)
    reloaded = (
        AutoModelForCausalLM.from_pretrained(folder, dtype="float32").to(merged.device).eval()
    )
    said_after = generate(reloaded, tokenizer, prompts, **settings, title="merged answers")
    differences = [
        float((_last_logits(reloaded, tokenizer, prompt) - before).abs().max())
        for prompt, before in zip(prompts, logits, strict=True)
    ]
    unequal = sum(a != b for a, b in zip(said_before, said_after, strict=True))
    largest = max(differences)
    if largest >= LOGIT_LIMIT or unequal:
        raise Refused(
            f"merge: largest logit difference {largest:.2e} (limit {LOGIT_LIMIT:.0e}), "
            f"{unequal} of {len(prompts)} greedy answers differ (limit 0)."
        )
    return {
        "prompts": len(prompts),
        "largest_logit_difference": largest,
        "unequal_greedy_answers": unequal,
    }


def _last_logits(model: Any, tokenizer: Any, prompt: list[Message]) -> Any:
    """Logits (tokens, vocabulary) of a whole prompt, on the CPU."""
    import torch

    ids = torch.tensor([prompt_ids(tokenizer, prompt)], device=model.device)
    with torch.inference_mode():
        return model(ids).logits[0].float().cpu()
