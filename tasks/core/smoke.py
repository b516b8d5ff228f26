"""A few questions with their evaluated answers, asked again of what somebody else loads.

in   base, adapter and merged model as folders; a question and what was answered when it was merged
out  the greedy answer now; whether only rounding tells the two apart

A loaded model proves more than its bytes do: that the parts belong together, and that the libraries
here read them as those did with which they were evaluated. Another processor adds in another order,
so that in bf16 one word in a hundred answers may be another; that is no fault of the release.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.core.errors import InputError, Refused
from tasks.core.fields import Message
from tasks.core.generate import generate, lacks_memory
from tasks.core.models import ModelRef, device, load_model
from tasks.core.sequences import batches, said_by_model

# Of the largest logit: what two processors may differ by. In fp32 ten times what merging allows on
# one of them; in half precision two to three units of the last place.
ROUNDING = {"float32": 1e-4, "float16": 2.5e-3, "bfloat16": 2e-2}


def ask(model: Any, tokenizer: Any, asked: list[list[Message]], max_new_tokens: int) -> list[str]:
    """Greedy answers, one question at a time, so that none depends on its neighbours."""
    found = generate(
        model,
        tokenizer,
        asked,
        max_new_tokens=max_new_tokens,
        batch_size=1,
        title="smoke questions",
    )
    return [answer.text for answer in found]


def as_likely(model: Any, tokenizer: Any, prompt: list[Message], answer: str) -> bool:
    """Whether every token of the answer is the likeliest one, or behind it by rounding alone."""
    said = said_by_model(tokenizer, prompt, answer)
    slack = ROUNDING.get(str(model.dtype).removeprefix("torch."), ROUNDING["float32"])
    [batch] = batches([said], 0, model.device, 1, len(said.ids))
    logits = batch.logits(model)[0]  # (answer, vocabulary)
    behind = logits.amax(-1) - logits.gather(-1, batch.answers[0][:, None])[:, 0]
    near = behind <= slack * logits.abs().amax(-1).clamp(min=1)
    return bool(near[:-1].all())  # not of its end: it may have been cut off


@contextmanager
def loaded(folder: Path, adapter: Path | None = None) -> Iterator[tuple[Any, Any]]:
    """(model, tokenizer): a merged model in the data type it was saved in; with an adapter the base
    in fp32, as both were evaluated. Raises Refused where the files make no model."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        if adapter is None:
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype="auto", use_safetensors=True, trust_remote_code=False
            )
            model = model.to(device()).eval()
        else:
            model = load_model(ModelRef(repo=str(folder.absolute()), revision="0" * 40), adapter)
    except (OSError, ValueError, KeyError, RuntimeError, MemoryError, SafetensorError) as error:
        what = "the merged model" if adapter is None else "base and adapter"
        reason = " ".join(str(error).split())[:300]
        if isinstance(error, RuntimeError | MemoryError) and lacks_memory(error):
            raise InputError(f"{what}: not enough memory to load it ({reason}).") from error
        raise Refused(f"{what}: cannot be loaded ({reason}).") from error
    yield model, tokenizer
