"""Base + adapter -> one model of the base's own kind, proven to answer as the two did.

in   the base at its commit, an adapter, at least 50 held-out conversations
out  config.json, generation_config.json, model.safetensors; a parity report: how far the adapter
     model, the merged one and what was loaded again from disk are from each other; smoke.json:
     a few questions with the answers of both, which whoever loads the release must get again

Merging is done in fp32 from the base's own weights, whatever the training computed in, and cast
afterwards: in bf16 a weight that a small change is added to often stays as it was.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.core.answers import Answer
from tasks.core.errors import InputError, Refused
from tasks.core.fields import Message, Row
from tasks.core.generate import generate
from tasks.core.models import ModelRef, device, load_model, load_tokenizer, snapshot
from tasks.core.progress import progress
from tasks.core.sequences import Said, batches, said_by_model

LOGIT_LIMIT = 1e-4  # fp32; 9.1e-6 was measured on the tiny model
GREEDY_LIMIT = 0.99  # of bf16 and fp16: the least share of greedy answers that are equal
LEAST_PROMPTS, MOST_PROMPTS = 50, 100
SMOKE = 5  # questions that a published release is asked again
TOKENS = 1024  # at once; with a vocabulary of 151,936 the logits of two models are 1.2 GB


@dataclass(frozen=True)
class Parity:
    """Two models on the same conversations, token by token, the prompts' among them."""

    largest: float  # absolute difference of a logit, over tokens and vocabulary
    mean: float  # of those differences
    top1: float  # share of tokens after which both find the same token likeliest
    greedy: float  # share of prompts to which both give the same greedy answer
    unequal: int  # greedy answers that differ
    tokens: int

    as_dict = asdict

    def faults(self, names: str, exact: bool) -> Iterator[str]:
        """`exact`: nothing but rounding in fp32 may tell them apart."""
        # Written so that a difference that is no number is a fault as well.
        if exact and not self.largest < LOGIT_LIMIT:
            yield f"{names}: largest logit difference {self.largest:.2e} (limit {LOGIT_LIMIT:.0e})"
        if self.greedy < (1 if exact else GREEDY_LIMIT):
            least = "all must be" if exact else f"at least {GREEDY_LIMIT:.0%} must be"
            yield (
                f"{names}: {self.unequal} greedy answers differ, so {self.greedy:.1%} are equal "
                f"({least})"
            )


def merge_adapter(
    base: ModelRef,
    adapter: Path,
    prompts: list[list[Message]],
    folder: Path,
    *,
    dtype: str,
    max_new_tokens: int,
    batch_size: int,
    rehearsal: bool = False,
) -> dict[str, Any]:
    """Merge in fp32, cast, save, load what was saved, and compare all three by their logits.

    Raises Refused where they differ by more than rounding; a rehearsal lists that under `faults`.
    """
    require_prompts(prompts, 1 if rehearsal else LEAST_PROMPTS)
    require_mergeable(base)
    dtype = dtype_of(base) if dtype == "auto" else dtype
    tokenizer = load_tokenizer(base)

    limits: dict[str, Any] = {"max_new_tokens": max_new_tokens, "batch_size": batch_size}

    def answers(model: Any, name: str) -> list[Answer]:
        return generate(model, tokenizer, prompts, **limits, title=f"{name} answers")

    def alone(model: Any, name: str) -> list[Answer]:
        one = limits | {"batch_size": 1}
        return generate(model, tokenizer, prompts[: 2 * SMOKE], **one, title=f"{name} smoke")

    with_adapter = _with_adapter(base, adapter)
    said = answers(with_adapter, "adapter")
    talks = [
        said_by_model(tokenizer, prompt, answer.text)
        for prompt, answer in zip(prompts, said, strict=True)
    ]
    merged = _merged(_with_adapter(base, adapter))
    said_merged = answers(merged, "merged")
    parity = {"adapter_merged": _parity((with_adapter, said), (merged, said_merged), talks)}
    faults = list(parity["adapter_merged"].faults("adapter and merged in fp32", exact=True))
    lossy = dtype != "float32"
    way_out = " Set merge.dtype: float32; nothing is trained again." if lossy and not faults else ""

    if lossy:
        _cast(merged, dtype)
        said_merged = answers(merged, f"merged {dtype}")
    merged.save_pretrained(folder)
    reloaded = _reload(folder)
    said_reloaded = answers(reloaded, "reloaded")
    for name, one, exact in (
        ("merged", (merged, said_merged), True),
        ("adapter", (with_adapter, said), not lossy),
    ):
        found = _parity(one, (reloaded, said_reloaded), talks)
        parity[f"{name}_reloaded"] = found
        faults += found.faults(f"{name} and loaded again in {dtype}", exact)
    asked = {"adapter": (with_adapter, said), "model": (reloaded, said_reloaded)}
    smoke = {"max_new_tokens": max_new_tokens, "questions": _smoke(prompts, asked, alone)}
    if not smoke["questions"]:
        faults.append("no answer stays the same when asked alone, so nobody could verify a release")
    (folder / "smoke.json").write_text(json.dumps(smoke, ensure_ascii=False))
    if faults and not rehearsal:
        raise Refused(f"merge, on {len(prompts)} prompts: {'; '.join(faults)}.{way_out}")
    whole = parity["adapter_reloaded"]
    return {
        "prompts": len(prompts),
        "dtype": dtype,
        "largest_logit_difference": whole.largest,
        "unequal_greedy_answers": whole.unequal,
        "parity": {name: found.as_dict() for name, found in parity.items()},
        "faults": faults,
    }


def _smoke(
    prompts: list[list[Message]],
    evaluated: dict[str, tuple[Any, list[Answer]]],
    alone: Callable[[Any, str], list[Answer]],
) -> list[dict[str, Any]]:
    """The first questions whose answers stay the same when they are asked one by one, as whoever
    verifies asks them: in bf16 a batch may round otherwise, and what fails by chance shows nothing.
    """
    again = {name: alone(model, name) for name, (model, _) in evaluated.items()}
    kept = [
        {"messages": prompt, **{name: again[name][at].text for name in evaluated}}
        for at, prompt in enumerate(prompts[: 2 * SMOKE])
        if all(again[name][at].text == said[at].text for name, (_, said) in evaluated.items())
    ]
    return kept[:SMOKE]


def prompts_to_compare(asked: list[list[Message]], test: list[Row]) -> list[list[Message]]:
    """The evaluation's questions, then held-out prompts; 100 at most, since more only cost time."""
    more = [row["prompt"] for row in test if row["prompt"] not in asked]
    return (asked + more)[:MOST_PROMPTS]


def require_prompts(prompts: list[list[Message]], least: int = LEAST_PROMPTS) -> None:
    """Raises InputError where there are too few to compare a merged model on; known once the
    questions are read and the rows are split, before anything is trained."""
    if len(prompts) < least:
        raise InputError(
            f"merge: {len(prompts)} held-out prompts, at least {least} are needed to compare the "
            "merged model. Raise splits.test or add evaluation.other_questions."
        )


def require_mergeable(base: ModelRef) -> None:
    """Raises InputError for a base that no adapter can be merged into; it needs no weights."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(snapshot(base))
    quantized = getattr(config, "quantization_config", None)
    if quantized is not None:
        how = dict(quantized).get("quant_method", "quantised")
        raise InputError(
            f"{base}: its weights are stored as {how}, so there are none in full precision to "
            "merge into. Set base.model to the model that it was made from."
        )
    rows, tokens = config.get_text_config().vocab_size, len(load_tokenizer(base))
    if tokens > rows:
        raise InputError(
            f"{base}: its tokenizer has {tokens:,} tokens, its embed_tokens {rows:,} rows: the "
            f"last {tokens - rows:,} stand for nothing. Add the rows "
            "(model.resize_token_embeddings), train them, and set base.model to that model."
        )


def dtype_of(base: ModelRef) -> str:
    """The data type that the base's weights are stored in, by its config.json or by themselves."""
    from safetensors import safe_open

    folder = snapshot(base)
    config = json.loads((folder / "config.json").read_text())
    config |= config.get("text_config", {})
    named: str | None = config.get("dtype") or config.get("torch_dtype")  # the older spelling
    if named is None:
        with safe_open(min(folder.glob("*.safetensors")), "pt") as weights:
            named = str(weights.get_tensor(min(weights.keys())).dtype)
    return named.removeprefix("torch.")


def _with_adapter(base: ModelRef, adapter: Path) -> Any:
    try:
        return load_model(base, adapter)
    except RuntimeError as error:
        misfits = [line.strip() for line in str(error).splitlines() if "size mismatch" in line]
        if not misfits:
            raise
        raise InputError(
            f"merge: {adapter} does not fit {base}: {misfits[0]} An adapter that was trained with "
            "added tokens needs a base that has them: save the base with them, set base.model to "
            "that model, and train again."
        ) from error


def _merged(with_adapter: Any) -> Any:
    """The model with the adapter's changes in its weights, in fp32; `with_adapter` is used up.

    Where input and output embeddings are one weight, a change to one of them would be a change to
    both: each gets its own, and they are tied again if they come out equal.
    """
    import torch

    text = with_adapter.config.get_text_config()
    if not text.tie_word_embeddings:
        return with_adapter.merge_and_unload()
    seen: set[int] = set()
    for module in with_adapter.modules():
        for name, weight in module.named_parameters(recurse=False):
            if id(weight) in seen:
                own = torch.nn.Parameter(weight.detach().clone(), requires_grad=False)
                setattr(module, name, own)
            seen.add(id(weight))
    text.tie_word_embeddings = False
    merged = with_adapter.merge_and_unload()
    embeddings, head = merged.get_input_embeddings(), merged.get_output_embeddings()
    if torch.equal(embeddings.weight, head.weight):
        text.tie_word_embeddings = True
        head.weight = embeddings.weight
    merged.config.tie_word_embeddings = text.tie_word_embeddings
    return merged


def _cast(model: Any, dtype: str) -> None:
    """The weights alone: what a model computes once, as the angles of its positions, stays."""
    import torch

    for weight in model.parameters():
        weight.data = weight.data.to(getattr(torch, dtype))


def _reload(folder: Path) -> Any:
    """As its users load it: in the data type that it was saved in."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto").to(device()).eval()


def _parity(
    one: tuple[Any, list[Answer]], other: tuple[Any, list[Answer]], talks: list[Said]
) -> Parity:
    """Two models and what they answered, on the same prompts and answers."""
    import torch

    (first, said), (second, said_too) = one, other
    peaks, total, agreed, tokens, logits = [], 0.0, 0, 0, 0
    whole = [Said(talk.ids, 1) for talk in talks]  # the prompts' tokens are compared as well
    with progress("logits compared", len(whole), "prompt") as advance:
        for batch in batches(whole, 0, first.device, len(whole), TOKENS):
            a, b = (batch.logits(model)[batch.scored] for model in (first, second))
            apart = (a - b).abs()  # (tokens, vocabulary)
            peaks.append(apart.max())
            total += float(apart.sum())
            agreed += int((a.argmax(-1) == b.argmax(-1)).sum())
            tokens += len(a)
            logits += a.numel()
            advance(len(batch.places))
    unequal = sum(a != b for a, b in zip(said, said_too, strict=True))
    return Parity(
        largest=float(torch.stack(peaks).max()),  # NaN if one is
        mean=total / logits,
        top1=agreed / tokens,
        greedy=1 - unequal / len(said),
        unequal=unequal,
        tokens=tokens,
    )
