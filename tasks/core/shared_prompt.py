"""DPO's forward with each prompt computed once, no padding, and the output layer on answers only.

in   the causal language model below a DPOTrainer's adapter, after the trainer was made
out  the same model; where TRL asks it for per-token values of a batch, they come from one flat row

TRL gives 2 * B sequences, chosen then rejected, padded to the longest: the prompt is computed twice
and the padding too. Here a pair is the whole chosen sequence and, behind it, what the rejected one
has after their longest common beginning; its positions go on from there, and it sees that beginning
and itself. So every token has the context that it has in TRL's batch, and all that TRL makes of the
values (losses, metrics) stays TRL's own code. Prefix sharing for preference pairs: Wang and
Hegde 2024, arXiv 2410.20305.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial
from types import MethodType
from typing import Any

from tasks.core.lean_layers import Making, made_again, may_be_made_again

NAME = "shared_prompt"  # of the attention function, as transformers knows it
FLEX = ("cuda",)  # devices with one call of FlexAttention for the row; two of SDPA a pair elsewhere
LOGITS, ROWS = 2**22, 256  # at once: 16 MiB in fp32, but no fewer rows than a product pays for


@dataclass(frozen=True)
class Pair:
    """Tokens of one pair: both sides' common beginning, the chosen side, the rejected one's own."""

    common: int
    chosen: int
    own: int


@dataclass(frozen=True)
class Layout:
    pairs: Sequence[Pair]
    masks: Sequence[Any]  # (own, common + own) each: which tokens the rejected side's own see
    block: Any  # on a GPU: the same, of the whole row, for FlexAttention
    keep_less: bool  # made_again


def share_prompts(model: Any, keep_less: bool) -> None:
    """Replace the forward by which TRL asks for per-token values; any other call stays as it is.

    `keep_less`: as in lean_layers.
    TRL's own: trl/trainer/utils.py, add_fused_lm_head.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)  # of calls that are no batch of pairs
    model.config._attn_implementation = NAME
    others = model.forward

    def forward(self: Any, *args: Any, fused_lm_head: bool = False, **told: Any) -> Any:
        if not fused_lm_head:
            return others(*args, **told)
        asked = (told["input_ids"], told["attention_mask"], told["labels"])
        return _per_token(self, *asked, keep_less)

    model.forward = MethodType(forward, model)


def _per_token(
    model: Any, input_ids: Any, attention_mask: Any, labels: Any, keep_less: bool
) -> Any:
    """All (2 * B, L); in the result (2 * B, L - 1), zero where no token of an answer is next."""
    from trl.trainer.utils import FusedCausalLMOutput

    flat, positions, places, pairs = _flat(input_ids, attention_mask)
    layout = _layout(pairs, flat.device, keep_less)
    states = model.base_model(
        input_ids=flat,
        position_ids=positions,
        attention_mask=flat.new_ones(1, 1, 1, 1),  # four dimensions: no mask is made of it
        use_cache=False,
        layout=layout,
    ).last_hidden_state[0]
    asked = labels[:, 1:] != -100
    before = states[places[:, :-1][asked]]
    values = _scored(before, model.get_output_embeddings(), labels[:, 1:][asked])
    log_probs, entropy, mean_logits, is_top1 = (
        value.new_zeros(asked.shape).masked_scatter(asked, value) for value in values
    )
    return FusedCausalLMOutput(
        loss=-log_probs.sum() / asked.sum().clamp(min=1),
        log_probs=log_probs,
        entropy=entropy,
        mean_logits=mean_logits,
        is_top1=is_top1,
        label_mask=asked,
    )


def _flat(input_ids: Any, attention_mask: Any) -> tuple[Any, Any, Any, list[Pair]]:
    """Tokens and their positions, (1, N) both; (2 * B, L): where in them each token of the batch
    stands, zero for padding; its pairs."""
    import torch

    pairs = len(input_ids) // 2
    lengths = attention_mask.sum(dim=1).tolist()
    differs = (input_ids[:pairs] != input_ids[pairs:]).int()
    first = torch.where(differs.any(dim=1), differs.argmax(dim=1), input_ids.shape[1]).tolist()
    places = torch.zeros_like(input_ids)
    tokens, positions, found, start = [], [], [], 0
    counted = torch.arange(input_ids.shape[1], device=input_ids.device)
    for n in range(pairs):
        chosen, rejected = lengths[n], lengths[pairs + n]
        common = min(first[n], chosen, rejected)
        own = rejected - common
        tokens += [input_ids[n, :chosen], input_ids[pairs + n, common:rejected]]
        positions += [counted[:chosen], counted[common:rejected]]
        places[n, :chosen] = start + counted[:chosen]
        places[pairs + n, :common] = start + counted[:common]
        places[pairs + n, common:rejected] = start + chosen + counted[:own]
        found.append(Pair(common, chosen, own))
        start += chosen + own
    return torch.cat(tokens)[None], torch.cat(positions)[None], places, found


def _layout(pairs: Sequence[Pair], device: Any, keep_less: bool) -> Layout:
    import torch
    from torch.nn.attention.flex_attention import create_block_mask

    if device.type in FLEX:  # Dong et al. 2024, arXiv 2412.05496
        seen, count = seen_in_row(pairs, device), sum(one.chosen + one.own for one in pairs)
        compiled = device.type == "cuda"  # else a mask of all pairs of tokens is made first
        told = {"device": device, "_compile": compiled}
        return Layout(
            pairs, [], create_block_mask(seen, None, None, count, count, **told), keep_less
        )
    masks = [
        torch.ones(one.own, one.common + one.own, dtype=torch.bool).tril(one.common)
        for one in pairs
    ]
    return Layout(pairs, masks, None, keep_less)


def seen_in_row(pairs: Sequence[Pair], device: Any) -> Any:
    """Whether a token of the row sees another one, as FlexAttention asks it."""
    import torch

    # Of each token: its pair; 0 in the common beginning, 1 in the chosen, 2 in the rejected rest.
    sizes = [(one.common, one.chosen - one.common, one.own) for one in pairs]
    lengths = torch.tensor(sizes, device=device).flatten()
    part = torch.arange(3, device=device).repeat(len(pairs)).repeat_interleave(lengths)
    pair = torch.arange(len(pairs), device=device).repeat_interleave(3).repeat_interleave(lengths)

    def seen(_: Any, __: Any, token: Any, other: Any) -> Any:
        same = (part[other] == 0) | (part[other] == part[token])
        return (pair[token] == pair[other]) & same & (token >= other)

    return seen


@cache
def _flex(device: str) -> Any:
    import torch
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention) if device == "cuda" else flex_attention


def _attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any | None,
    layout: Layout | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **told: Any,
) -> tuple[Any, None]:
    """(1, heads, N, width) each -> (1, N, heads, width)."""
    import torch
    import torch.nn.functional as F
    from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

    if layout is None:
        told |= {"dropout": dropout, "scaling": scaling}
        found = sdpa_attention_forward(module, query, key, value, attention_mask, **told)
        return found[0], None
    groups = getattr(module, "num_key_value_groups", 1)
    if layout.block is not None:
        flex = _flex(query.device.type)
        told = {"block_mask": layout.block, "scale": scaling, "enable_gqa": groups > 1}
        return flex(query, key, value, **told).transpose(1, 2).contiguous(), None
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    sizes = [size for pair in layout.pairs for size in (pair.chosen, pair.own)]
    parts = [one.split(sizes, dim=2) for one in (query, key, value)]
    attention = partial(F.scaled_dot_product_attention, scale=scaling)  # no dropout: machine.py
    made = []
    for n, (pair, mask) in enumerate(zip(layout.pairs, layout.masks, strict=True)):
        q, k, v = (part[2 * n] for part in parts)
        made.append(attention(q, k, v, is_causal=True))
        if pair.own:
            q, own_k, own_v = (part[2 * n + 1] for part in parts)
            (k, k_again), (v, v_again) = (
                _joined(one[:, :, : pair.common], own) for one, own in ((k, own_k), (v, own_v))
            )
            again = made_again((k, k_again), (v, v_again)) if layout.keep_less else nullcontext()
            with again:
                made.append(attention(q, k, v, attn_mask=mask))
    made = [one.transpose(1, 2) for one in made]
    found = torch.cat(made, dim=1)
    if layout.keep_less:
        kept = [one.detach() for one in made]  # attention keeps them for itself
        found = may_be_made_again(found, lambda: torch.cat(kept, dim=1))
    return found, None


def _joined(common: Any, own: Any) -> Making:
    import torch

    parts = [common.detach(), own.detach()]
    return torch.cat([common, own], dim=2), lambda: torch.cat(parts, dim=2)


def _scored(states: Any, head: Any, tokens: Any) -> tuple[Any, Any, Any, Any]:
    """States (N, width) and the token after each (N,) -> per token, fp32 (N,): log-probability,
    entropy in nats, mean of the logits, whether the token is the likeliest.

    The gradient is computed with the values, so no logits are kept or computed twice: that of a
    log-probability is the token's row of the output layer less the mean of all rows by probability.
    The others have none, and neither has the layer, which LoRA leaves as it is.
    """
    import torch
    import torch.nn.functional as F

    trained = torch.is_grad_enabled() and states.requires_grad
    rows = max(ROWS, LOGITS // len(head.weight))
    values, gradients = [], []
    with torch.no_grad():
        for part, token in zip(states.split(rows), tokens.split(rows), strict=True):
            logits = F.linear(part, head.weight, head.bias).float()
            mean, likeliest = logits.mean(-1), logits.argmax(-1)
            logs = logits.log_softmax(-1)
            shares = logs.exp()
            log_probs = logs.gather(-1, token[:, None])[:, 0]
            values.append((log_probs, -(shares * logs).sum(-1), mean, likeliest == token))
            if trained:  # taken away in fp32: of a sure token only the rest counts
                shares.scatter_add_(1, token[:, None], shares.new_full((len(token), 1), -1))
                gradients.append(-(shares.to(head.weight.dtype) @ head.weight))
    log_probs, entropy, mean, is_top1 = (torch.cat(one) for one in zip(*values, strict=True))
    if trained:
        linear = (states * torch.cat(gradients)).float().sum(-1)
        log_probs = log_probs + (linear - linear.detach())  # zero, with that gradient
    return log_probs, entropy, mean, is_top1
