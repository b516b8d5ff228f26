"""Each prompt computed once gives what TRL's own forward gives: losses, metrics, gradients.

Both run on one trainer and one batch; TRL's comes first, then the shared one replaces it.
"""

import random
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_models import tokenizer_in
from small_training import TRAIN, VALIDATION, left_in, recipe, train

from tasks.core.machine import SHARING, effective, why_not_shared
from tasks.core.models import ModelRef
from tasks.core.settings import LossType, Machine
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
IDS = st.integers(5, 8)  # few, so that answers often begin alike
ANSWERS = st.lists(IDS, min_size=1, max_size=14)
IDS_OF_A_PAIR = st.fixed_dictionaries(
    {
        "prompt_ids": st.lists(IDS, max_size=20),
        "chosen_ids": ANSWERS,
        "rejected_ids": ANSWERS,
    }
)


class Both:
    """One trainer, and what it makes of a batch with either forward."""

    def __init__(self, trainer: Any) -> None:
        self.trainer, self.base = trainer, trainer.model.get_base_model()
        with torch.no_grad():
            drawn = torch.Generator().manual_seed(3)
            for name, weights in trainer.model.named_parameters():
                if "lora_B" in name:  # zero at first: policy and reference would be one
                    weights += 0.2 * torch.randn(weights.shape, generator=drawn)
        self.theirs = (self.base.forward, self.base.config._attn_implementation)
        share_prompts(self.base)
        self.ours = (self.base.forward, self.base.config._attn_implementation)

    def of(self, forward: Any, pairs: list[dict[str, Any]], training: bool = True) -> Any:
        """(loss, {metric: value}, gradients)"""
        self.base.forward, self.base.config._attn_implementation = forward
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

    def require_equal(self, pairs: list[dict[str, Any]], training: bool = True) -> None:
        theirs, ours = (self.of(one, pairs, training) for one in (self.theirs, self.ours))
        if any(one["chosen_ids"] == one["rejected_ids"] for one in pairs):
            # Rewards of equal answers are equal here. TRL's differ by rounding: one is the larger.
            theirs[1].pop("rewards/accuracies"), ours[1].pop("rewards/accuracies")
        torch.testing.assert_close(ours, theirs, atol=CLOSE, rtol=CLOSE, equal_nan=True)
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


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    return base_of("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def of_llama(llama: ModelRef, tmp_path_factory: pytest.TempPathFactory) -> Both:
    loss = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]}
    return both(llama, tmp_path_factory.mktemp("work"), loss=loss)


def drawn_pairs(count: int, seed: int = 0) -> list[dict[str, list[int]]]:
    drawn = random.Random(seed)

    def ids(least: int, most: int) -> list[int]:
        return [drawn.randrange(5, 300) for _ in range(drawn.randint(least, most))]

    return [
        {"prompt_ids": ids(1, 30), "chosen_ids": ids(1, 20), "rejected_ids": ids(1, 20)}
        for _ in range(count)
    ]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(IDS_OF_A_PAIR, min_size=1, max_size=4), st.booleans())
def test_any_pairs_give_trls_losses_metrics_and_gradients(
    of_llama: Both, pairs: list[dict[str, Any]], training: bool
) -> None:
    of_llama.require_equal(pairs, training)


@pytest.mark.parametrize(
    "pair",
    [
        ([], [5, 6, 7], [5, 8]),
        ([], [5], [6]),
        ([9, 10], [5], [6]),
        ([9, 10], [5, 6, 7], [5, 6, 7]),
        ([9, 10], [5, 6, 7, 8], [5, 6]),
        ([9, 10], [5, 6], [5, 6, 7, 8]),
        ([9] * 60, [5, 6, 7, 8], [6, 7, 8, 5]),
        ([9] * 63, [5, 6, 7, 8], [6, 7, 8, 5]),
        ([9] * 64, [5, 6, 7, 8], [6, 7, 8, 5]),
        ([9, 0, 0], [0, 0], [0]),
    ],
    ids=[
        "no prompt",
        "no prompt, one token",
        "one token",
        "equal",
        "rejected begins chosen",
        "chosen begins rejected",
        "at the limit",
        "cut to one token",
        "cut to none",
        "the padding token",
    ],
)
def test_pairs_at_an_edge(of_llama: Both, pair: tuple[list[int], list[int], list[int]]) -> None:
    edge = dict(zip(("prompt_ids", "chosen_ids", "rejected_ids"), pair, strict=True))
    of_llama.require_equal([edge])
    of_llama.require_equal([*drawn_pairs(2), edge])


@pytest.mark.parametrize("kind", SHARING)
def test_every_kind_of_model_it_is_taken_for(kind: str, tmp_path: Any) -> None:
    found = both(base_of(kind, tmp_path / "base"), tmp_path / "work")
    found.require_equal(drawn_pairs(4))
    found.require_equal(drawn_pairs(3, seed=1), training=False)


@pytest.mark.parametrize("loss", LossType.__args__)
def test_every_loss_a_recipe_may_name(loss: str, llama: ModelRef, tmp_path: Any) -> None:
    section: dict[str, Any] = {"loss_type": [loss] if loss != "sft" else ["hinge", "sft"]}
    if loss == "robust":
        section["label_smoothing"] = 0.1
    both(llama, tmp_path, loss=section).require_equal(drawn_pairs(4))


def test_checkpointed_layers_and_a_reference_that_was_kept(llama: ModelRef, tmp_path: Any) -> None:
    kept = both(llama, tmp_path, machine={"gradient_checkpointing": True})
    kept.trainer.model.activation_checkpointing_enable()  # as Trainer.train() begins
    layers = [one for one in kept.base.modules() if hasattr(one, "gradient_checkpointing")]
    assert any(one.gradient_checkpointing for one in layers)
    kept.require_equal(drawn_pairs(4))
    assert any(one.gradient_checkpointing for one in layers)  # off for the reference alone
    kept.trainer.precompute_ref_logps = True
    logps = {"ref_chosen_logps": -30.0, "ref_rejected_logps": -28.5}
    kept.require_equal([one | logps for one in drawn_pairs(4)])


def test_the_reference_of_a_batch_is_trls(of_llama: Both) -> None:
    inputs = of_llama.trainer.data_collator(drawn_pairs(5))
    found = []
    for forward in (of_llama.theirs, of_llama.ours):
        of_llama.base.forward, of_llama.base.config._attn_implementation = forward
        found.append(of_llama.trainer.compute_ref_log_probs(of_llama.trainer.model, inputs))
    torch.testing.assert_close(found[1], found[0], atol=CLOSE, rtol=CLOSE)


def test_logits_and_texts_asked_of_the_same_model_are_the_models_own(of_llama: Both) -> None:
    ids = torch.tensor([[9, 8, 7, 6], [0, 0, 9, 8]])
    given = {"input_ids": ids, "attention_mask": (ids != 0).long()}
    found = []
    for forward in (of_llama.theirs, of_llama.ours):
        of_llama.base.forward, of_llama.base.config._attn_implementation = forward
        with torch.no_grad():
            logits = of_llama.trainer.model.eval()(**given).logits[given["attention_mask"] == 1]
            texts = of_llama.trainer.model.generate(**given, max_new_tokens=8, do_sample=False)
        found.append((logits, texts))
    torch.testing.assert_close(found[1], found[0], atol=CLOSE, rtol=CLOSE)


def test_a_training_learns_what_trls_learns_and_twice_the_same_bytes(
    llama: ModelRef, tmp_path: Any
) -> None:
    sections: dict[str, Any] = {"batch": {"gradient_accumulation_steps": 2}}
    for name, shared in (("theirs", False), ("ours", True), ("again", True)):
        told = recipe(**sections, machine={"shared_prompt": shared})
        train(llama, told, tmp_path / name)
    ours, again = (left_in(tmp_path / name / "stage") for name in ("ours", "again"))
    assert ours == again
    from safetensors.torch import load_file

    theirs, mine = (
        load_file(tmp_path / name / "stage" / "adapter" / "adapter_model.safetensors")
        for name in ("theirs", "ours")
    )
    torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-2)
    histories = [
        (tmp_path / name / "stage" / "history.json").read_text() for name in ("theirs", "ours")
    ]
    assert histories[0] != histories[1]  # or one forward ran twice


def test_what_cannot_be_shared_keeps_trls_forward_and_says_why(tmp_path: Any) -> None:
    from transformers import AutoConfig

    plain = effective(Machine(), each_pair_again=False)
    llama, gemma = (AutoConfig.for_model(kind) for kind in ("llama", "gemma"))
    narrow = AutoConfig.for_model("mistral", sliding_window=32)
    assert why_not_shared(plain, llama, 64) is None
    assert why_not_shared(plain, narrow, 32) is None
    assert "and not gemma" in (why_not_shared(plain, gemma, 64) or "")
    assert "sees 32 tokens" in (why_not_shared(plain, narrow, 64) or "")
    off = effective(Machine(shared_prompt=False), each_pair_again=False)
    assert why_not_shared(off, llama, 64) == "machine.shared_prompt is false"
    eager = effective(Machine(attn_implementation="eager"), each_pair_again=False)
    assert "eager, not sdpa" in (why_not_shared(eager, llama, 64) or "")


def test_a_model_of_another_kind_trains_with_trls_forward(tmp_path: Any) -> None:
    base = base_of("gemma", tmp_path / "base")
    trainer = trainer_for(base, TRAIN, VALIDATION, recipe(), tmp_path / "work")
    assert trainer.model.get_base_model().config._attn_implementation == "sdpa"
