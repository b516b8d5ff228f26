"""Attention over rows of many lengths without their padding, on a CPU.

in   prompts one behind the other in one flat row; or the newest token of every row of a batch
out  of each token what it sees: its own prompt or row up to itself, a call of SDPA for each

Elsewhere, and for models that are not of a proven kind, a batch is padded and masked.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tasks.core.kinds import SHARING
from tasks.core.time_line import TimeLine

NAME = "unpadded"  # of the attention function, as transformers knows it
CALL = 2**17  # bytes of keys and values that are read in the time of one call


@dataclass(frozen=True)
class Own:
    """A prompt in the flat row: its own tokens, and the row that holds what comes before them."""

    tokens: slice
    row: int
    before: slice  # columns of that row; none where the whole prompt is read
    mask: Any | None  # (tokens, before + tokens): added to the scores; None is plain causal


@dataclass(frozen=True)
class Prompts:
    """A forward pass over a flat row of prompts."""

    prompts: Sequence[Own]
    line: TimeLine  # of the batch, whose rows may begin as a prompt does

    def attend(self, layer: int, query: Any, key: Any, value: Any, scale: float | None) -> Any:
        import torch
        from torch.nn.functional import scaled_dot_product_attention as attention
        from transformers.integrations.sdpa_attention import repeat_kv

        groups = query.shape[1] // key.shape[1]
        made = []
        for own in self.prompts:
            q, k, v = (one[:, :, own.tokens] for one in (query, key, value))
            if own.mask is not None:
                k, v = (
                    torch.cat([held[layer][own.row, None, :, own.before], one], dim=2)
                    for held, one in ((self.line.keys, k), (self.line.values, v))
                )
            k, v = repeat_kv(k, groups), repeat_kv(v, groups)
            causal = own.mask is None
            made.append(attention(q, k, v, attn_mask=own.mask, is_causal=causal, scale=scale))
        return torch.cat(made, dim=2).transpose(1, 2)


@dataclass(frozen=True)
class Group:
    """Rows of a batch that are seen in one call."""

    rows: slice
    begin: int  # their first column, of those that are handed in
    mask: Any | None  # (rows, 1, 1, columns): added to the scores; None where all begin there


@dataclass(frozen=True)
class Rows:
    """A forward pass over the newest token of every row."""

    groups: Sequence[Group]

    def attend(self, layer: int, query: Any, key: Any, value: Any, scale: float | None) -> Any:
        import torch
        from torch.nn.functional import scaled_dot_product_attention as attention

        rows, heads, _, width = query.shape
        packed = query.reshape(rows, key.shape[1], -1, width)  # heads that share keys: as queries
        made = []
        for group in self.groups:
            k, v = (one[group.rows, :, group.begin :] for one in (key, value))
            made.append(attention(packed[group.rows], k, v, attn_mask=group.mask, scale=scale))
        return torch.cat(made).reshape(rows, 1, heads, width)


def possible(model: Any) -> bool:
    from transformers import DynamicCache

    config = model.config.get_text_config()
    return (
        model.device.type == "cpu"
        and config.model_type in SHARING
        and config._attn_implementation == "sdpa"
        and not any(DynamicCache(config=config).is_sliding)
    )


def no_mask() -> Any:
    """For a model: one of four dimensions, in place of which none is made."""
    import torch

    return torch.ones(1, 1, 1, 1)


@contextmanager
def attending(model: Any) -> Iterator[None]:
    """The model takes `seen`, Prompts or Rows, as one more argument."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    before = model.config._attn_implementation
    model.config._attn_implementation = NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before


def _attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    seen: Prompts | Rows,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Any, None]:
    """(rows, heads, tokens, width) each -> (rows, tokens, heads, width)"""
    return seen.attend(module.layer_idx, query, key, value, scaling), None


def own(tokens: slice, row: int, before: slice) -> Own:
    import torch

    length, known = tokens.stop - tokens.start, before.stop - before.start
    if not known:
        return Own(tokens, row, before, None)
    unseen = torch.ones(length, known + length, dtype=torch.bool).triu(known + 1)
    return Own(tokens, row, before, torch.zeros(unseen.shape).masked_fill(unseen, float("-inf")))


def side_by_side(begin: Sequence[int], line: TimeLine) -> list[slice]:
    """Rows that are seen in one call each: those whose padding costs less than more calls."""
    made = line.keys[0]
    column = 2 * made.shape[1] * made.shape[3] * made.element_size()
    found = [slice(0, 1)]
    for row in range(1, len(begin)):
        rows = slice(found[-1].start, row + 1)
        together = begin[rows]
        padding = sum(together) - min(together) * len(together)
        if padding * column <= CALL * (len(together) - 1):
            found[-1] = rows
        else:
            found.append(slice(row, row + 1))
    return found


def groups(begin: Sequence[int], rows: Sequence[slice], line: TimeLine) -> list[Group]:
    """With the token that is to be added now: columns to line.end are seen."""
    import torch

    found = []
    for one in rows:
        first = min(begin[one])
        mask = None
        if max(begin[one]) > first:
            padding = torch.tensor(begin[one])[:, None, None, None] - first
            unseen = torch.arange(line.end + 1 - first) < padding
            mask = torch.zeros(unseen.shape).masked_fill(unseen, float("-inf"))
        found.append(Group(one, first - line.start, mask))
    return found
