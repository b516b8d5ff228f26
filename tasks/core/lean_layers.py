"""Layers of a frozen model with LoRA that write less to memory: the same values, fewer tensors.

in   a causal language model with peft's LoRA on its linear layers
out  the same model. An update is added to what the frozen layer made in one product, where peft
     scales it and adds it in two more passes; and what costs little to make again from what is
     kept anyway is not kept for the backward pass, but made again in it

Selective recomputation: Korthikanti et al. 2022, arXiv 2205.05198.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import cache, partial
from types import MethodType
from typing import Any

Making = tuple[Any, Callable[[], Any]]  # a tensor, and how it is made again, bit by bit the same


def lean_layers(model: Any, keep_less: bool) -> None:
    """`keep_less` is for models whose layers are not checkpointed."""
    from peft.tuners.lora.layer import Linear
    from transformers.activations import SiLUActivation

    for module in model.modules():
        if type(module) is Linear and not module.lora_variant:  # of DoRA and the like
            module.forward = MethodType(_adapted, module)
        gated = all(hasattr(module, name) for name in ("gate_proj", "up_proj", "down_proj"))
        if keep_less and gated and isinstance(module.act_fn, SiLUActivation):
            module.forward = MethodType(_gated, module)
        if keep_less and (norm := getattr(module, "post_attention_layernorm", None)):
            norm.forward = MethodType(_normed, norm)


def may_be_made_again(tensor: Any, make: Callable[[], Any]) -> Any:
    """The same contiguous tensor: an adapted linear layer that it is given to will not keep it."""
    tensor.made_again = make
    return tensor


def made_again(*made: Making) -> Any:
    """A context in which autograd keeps none of these tensors, which are contiguous.

    Not for layers that are checkpointed: of two such contexts the inner one alone has effect.
    """
    import torch

    # Where they lie, and not they: autograd keeps the function below.
    places = [(tensor.data_ptr(), tensor.numel(), make) for tensor, make in made]

    def pack(kept: Any) -> Any:
        for place, count, make in places:
            if kept.data_ptr() == place and kept.numel() == count and kept.is_contiguous():
                return partial(_viewed, make, kept.shape)
        return kept.detach()  # itself would keep itself

    def unpack(kept: Any) -> Any:
        return kept() if callable(kept) else kept

    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)


def _viewed(make: Callable[[], Any], shape: Any) -> Any:
    return make().view(shape)


def _adapted(self: Any, x: Any, *_: Any, **__: Any) -> Any:
    """(..., in) -> (..., out): the forward of peft's lora.Linear, for one adapter."""
    rows = x.reshape(-1, x.shape[-1])
    found = self.base_layer(rows)
    if not (self.disable_adapters or self.merged):
        [name] = self.active_adapters
        dtype = found.dtype  # of the frozen weights; LoRA's own are fp32
        narrow, wide = (side[name].weight.to(dtype) for side in (self.lora_A, self.lora_B))
        make = getattr(x if x._base is None else x._base, "made_again", None)
        with made_again((x, make)) if make else nullcontext():
            update = self.lora_dropout[name](rows.to(dtype)) @ narrow.T  # (tokens, rank)
        found.addmm_(update, wide.T, alpha=self.scaling[name])
    return found.view(*x.shape[:-1], found.shape[-1])


def _normed(self: Any, x: Any) -> Any:
    """The norm before the MLP. Not the one before attention: three layers would make it again."""
    forward = partial(type(self).forward, self)
    if x.dtype.itemsize < 4:  # what it is made of is kept in fp32 alone
        return forward(x)
    return may_be_made_again(forward(x), partial(forward, x.detach()))


def _gated(self: Any, x: Any) -> Any:
    """SwiGLU, keeping what both projections made and nothing of what is made of them."""
    gate, up = self.gate_proj(x), self.up_proj(x)
    product = _swiglu().apply(gate, up)
    return self.down_proj(may_be_made_again(product, partial(_product, gate.detach(), up.detach())))


def _product(gate: Any, up: Any) -> Any:
    import torch.nn.functional as F

    return F.silu(gate).mul_(up)


@cache
def _swiglu() -> Any:
    import torch
    import torch.nn.functional as F

    class SwiGLU(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, gate: Any, up: Any) -> Any:
            ctx.save_for_backward(gate, up)
            return _product(gate, up)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            [gradient], (gate, up) = gradients, ctx.saved_tensors
            of_gate = torch.ops.aten.silu_backward(gradient * up, gate)
            return of_gate, F.silu(gate).mul_(gradient)

    return SwiGLU
