"""Base + adapter -> one model of the base's own kind, proven to answer as the two did.

in   the base at its commit, an adapter, at least 50 held-out conversations
out  config.json, generation_config.json, model.safetensors in fp32; parity figures
"""

from pathlib import Path
from typing import Any

from tasks.core.errors import InputError, Refused
from tasks.core.fields import Message, Row
from tasks.core.generate import generate
from tasks.core.models import ModelRef, load_model, load_tokenizer
from tasks.core.render import prompt_ids

LOGIT_LIMIT = 1e-4  # fp32; 9.1e-6 was measured on the tiny model
LEAST_PROMPTS, MOST_PROMPTS = 50, 100


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

    require_prompts(prompts)
    tokenizer = load_tokenizer(base)
    with_adapter = load_model(base, adapter)
    settings: dict[str, Any] = {"max_new_tokens": max_new_tokens, "batch_size": batch_size}
    said_before = generate(with_adapter, tokenizer, prompts, **settings, title="adapter answers")
    with_adapter.merge_and_unload().save_pretrained(folder)  # which undoes with_adapter
    with_adapter = load_model(base, adapter)
    reloaded = (
        AutoModelForCausalLM.from_pretrained(folder, dtype="float32").to(with_adapter.device).eval()
    )
    said_after = generate(reloaded, tokenizer, prompts, **settings, title="merged answers")
    differences = [
        float((_logits(reloaded, ids) - _logits(with_adapter, ids)).abs().max())
        for ids in (prompt_ids(tokenizer, prompt) for prompt in prompts)
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


def prompts_to_compare(asked: list[list[Message]], test: list[Row]) -> list[list[Message]]:
    """The evaluation's questions, then held-out prompts; 100 at most, since more only cost time."""
    more = [row["prompt"] for row in test if row["prompt"] not in asked]
    return (asked + more)[:MOST_PROMPTS]


def require_prompts(prompts: list[list[Message]]) -> None:
    """Raises InputError where there are too few to compare a merged model on."""
    if len(prompts) < LEAST_PROMPTS:
        raise InputError(
            f"merge: {len(prompts)} held-out prompts, at least {LEAST_PROMPTS} are needed to "
            "compare the merged model. Raise splits.test or add evaluation.other_questions."
        )


def _logits(model: Any, ids: list[int]) -> Any:
    """Logits (tokens, vocabulary) of a whole prompt, on the CPU."""
    import torch

    with torch.inference_mode():
        return model(torch.tensor([ids], device=model.device)).logits[0].float().cpu()
