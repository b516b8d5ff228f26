"""Messages -> token ids by the model's own chat template, as TRL's DPOTrainer renders them.

in   rows with "prompt" and perhaps "chosen", "rejected"; the base model's tokenizer
out  the rows with "tokens": the longer of the two sides, prompt included

A row whose prompt is not a prefix of prompt + answer would be trained on a text that the model
never sees when asked: it is set aside, as is one over the limit; nothing is truncated.
"""

from typing import Any

from tasks.core.errors import InputError
from tasks.core.reformat import Message, Row, set_aside


def require_chat_template(tokenizer: Any, model: str) -> None:
    """DPO starts from an instruct model; a base without a chat template is refused."""
    if not tokenizer.chat_template:
        raise InputError(
            f"{model}: its tokenizer has no chat template, so it is not a chat model. "
            "Set base.model to an instruct model, or train one first (SFT)."
        )


def prompt_ids(tokenizer: Any, prompt: list[Message]) -> list[int]:
    """Token ids of a prompt, up to and including the opening of the assistant's turn."""
    ids: list[int] = tokenizer.apply_chat_template(prompt, add_generation_prompt=True)["input_ids"]
    return ids


def answer_ids(tokenizer: Any, prompt: list[Message], answer: list[Message]) -> list[int]:
    """Token ids of prompt + answer, with what the template puts after the answer."""
    ids: list[int] = tokenizer.apply_chat_template(prompt + answer)["input_ids"]
    return ids


def injected_system(tokenizer: Any) -> str | None:
    """The system message that a template adds where none is given (Qwen2.5's says who it is)."""
    bare = tokenizer.apply_chat_template([{"role": "user", "content": "Q"}], tokenize=False)
    given = [{"role": "system", "content": "SYSTEM"}, {"role": "user", "content": "Q"}]
    whole = tokenizer.apply_chat_template(given, tokenize=False)
    before, _, after = whole.partition("SYSTEM")
    if after and bare.startswith(before) and bare.endswith(after):
        return str(bare[len(before) : len(bare) - len(after)]) or None
    return None


def measure_tokens(rows: list[Row], tokenizer: Any, max_length: int) -> tuple[list[Row], list[Row]]:
    """(rows with "tokens", set aside: over the limit, or refused by the template)."""
    from jinja2 import TemplateError

    kept, aside = [], []
    for row in rows:
        text = row["prompt"][-1]["content"]
        try:
            tokens, is_prefix = _measured(tokenizer, row)
        except TemplateError as error:
            aside.append(set_aside(row["row"], f"the chat template refuses it: {error}", text))
            continue
        if not is_prefix:
            reason = "the rendered prompt is not a prefix of prompt + answer"
            aside.append(set_aside(row["row"], reason, text))
        elif tokens > max_length:
            aside.append(set_aside(row["row"], f"over the limit of {max_length} tokens", text))
        else:
            kept.append(row | {"tokens": tokens, "prompt_is_prefix": True})
    return kept, aside


def counted(tokenizer: Any, row: Row) -> tuple[int | None, bool | None]:
    """(tokens of the longer side, whether the prompt is a token prefix of both); (None, False) for
    a row that the chat template refuses."""
    from jinja2 import TemplateError

    try:
        return _measured(tokenizer, row)
    except TemplateError:
        return None, False


def _measured(tokenizer: Any, row: Row) -> tuple[int, bool]:
    prompt = prompt_ids(tokenizer, row["prompt"])
    sides = [
        answer_ids(tokenizer, row["prompt"], row[side])
        for side in ("chosen", "rejected")
        if row.get(side) is not None
    ]
    tokens = max(len(ids) for ids in [prompt, *sides])
    return tokens, all(ids[: len(prompt)] == prompt for ids in sides)
