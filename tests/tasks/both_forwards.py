"""One trainer with TRL's forward and with the shared one, and models in miniature to compare on."""

import random
from typing import Any

import torch
from random_models import tokenizer_in
from small_training import TRAIN, VALIDATION, recipe

from tasks.core.lean_layers import lean_layers
from tasks.core.models import ModelRef
from tasks.core.shared_prompt import share_prompts
from tasks.core.trainer import trainer_for

CLOSE = 1e-4  # of a loss, a metric and a gradient in fp32
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,  # so that what a token sees matters to what comes next
}


class Both:
    """One trainer, and what it makes of a batch with either forward."""

    def __init__(self, trainer: Any) -> None:
        self.trainer, self.base = trainer, trainer.model.get_base_model()
        with torch.no_grad():
            drawn = torch.Generator().manual_seed(3)
            for name, weights in trainer.model.named_parameters():
                if "lora_B" in name:  # zero at first: policy and reference would be one
                    weights += 0.2 * torch.randn(weights.shape, generator=drawn)
        self.lean: dict[Any, Any] = {}
        self.theirs = (self.base.forward, self.base.config._attn_implementation, {})
        keep_less = not trainer.args.activation_checkpointing
        share_prompts(self.base, keep_less)
        lean_layers(trainer.model, keep_less)
        changed = {m: m.forward for m in self.base.modules() if "forward" in vars(m)}
        self.lean = {module: forward for module, forward in changed.items() if module != self.base}
        self.ours = (self.base.forward, self.base.config._attn_implementation, self.lean)

    def take(self, forward: Any) -> None:
        self.base.forward, self.base.config._attn_implementation, layers = forward
        for module in self.lean:
            vars(module).pop("forward", None)
        for module, lean in layers.items():
            module.forward = lean

    def of(self, forward: Any, pairs: list[dict[str, Any]], training: bool = True) -> Any:
        """(loss, {metric: value}, gradients)"""
        self.take(forward)
        trainer, model = self.trainer, self.trainer.model.train(training)
        inputs = trainer._prepare_inputs(trainer.data_collator(pairs))
        trainer._metrics["train"].clear(), trainer._metrics["eval"].clear()
        trainer._total_train_tokens = 0
        model.zero_grad()
        with torch.set_grad_enabled(training):
            loss = trainer.compute_loss(model, inputs)
        gradients = {}
        if training:
            loss.backward()
            gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}
        metrics = {k: v[-1] for k, v in trainer._metrics["train" if training else "eval"].items()}
        return loss.detach(), metrics, gradients

    def require_equal(
        self, pairs: list[dict[str, Any]], training: bool = True, close: float = CLOSE
    ) -> None:
        theirs, ours = (self.of(one, pairs, training) for one in (self.theirs, self.ours))
        if any(one["chosen_ids"] == one["rejected_ids"] for one in pairs):
            # Rewards of equal answers are equal here. TRL's differ by rounding: one is the larger.
            theirs[1].pop("rewards/accuracies"), ours[1].pop("rewards/accuracies")
        torch.testing.assert_close(ours, theirs, atol=close, rtol=close, equal_nan=True)
        assert len(ours[1]) >= 8 and bool(ours[2]) is training


def base_of(kind: str, folder: Any, **more: Any) -> ModelRef:
    from transformers import AutoConfig, AutoModelForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_in(folder)
    shape = SHAPE | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    config = AutoConfig.for_model(kind, **(shape | {"sliding_window": None} | more))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return ModelRef(repo=str(folder), revision="0" * 40)


def both(base: ModelRef, folder: Any, **sections: Any) -> Both:
    sections["machine"] = {"shared_prompt": False} | sections.get("machine", {})
    return Both(trainer_for(base, TRAIN, VALIDATION, recipe(**sections), folder))


def drawn_pairs(count: int, seed: int = 0) -> list[dict[str, list[int]]]:
    drawn = random.Random(seed)

    def ids(least: int, most: int) -> list[int]:
        return [drawn.randrange(5, 300) for _ in range(drawn.randint(least, most))]

    return [
        {"prompt_ids": ids(1, 30), "chosen_ids": ids(1, 20), "rejected_ids": ids(1, 20)}
        for _ in range(count)
    ]
