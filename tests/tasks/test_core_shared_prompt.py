"""Each prompt computed once gives what TRL's own forward gives: losses, metrics, gradients.

Both run on one trainer and one batch; TRL's comes first, then the shared one replaces it.
It is long because every loss, kind of model, edge of a pair and memory of a layer is a sentence.
"""

import weakref
from typing import Any

import pytest
import torch
from both_forwards import CLOSE, Both, base_of, both, drawn_pairs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_training import TRAIN, VALIDATION, left_in, recipe, train

from tasks.core import lean_layers, shared_prompt
from tasks.core.kinds import SHARING
from tasks.core.machine import effective, why_not_shared
from tasks.core.models import ModelRef
from tasks.core.settings import LossType, Machine
from tasks.core.shared_prompt import Pair
from tasks.core.trainer import trainer_for

BF16 = 0.1  # of the length of all gradients; 8 bits of mantissa
IDS = st.integers(5, 8)  # few, so that answers often begin alike
ANSWERS = st.lists(IDS, min_size=1, max_size=14)
IDS_OF_A_PAIR = st.fixed_dictionaries(
    {
        "prompt_ids": st.lists(IDS, max_size=20),
        "chosen_ids": ANSWERS,
        "rejected_ids": ANSWERS,
    }
)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    return base_of("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def of_llama(llama: ModelRef, tmp_path_factory: pytest.TempPathFactory) -> Both:
    loss = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]}
    return both(llama, tmp_path_factory.mktemp("work"), loss=loss)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,  # the same pairs on every machine
    suppress_health_check=[HealthCheck.function_scoped_fixture],
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


@pytest.mark.parametrize(
    "more",
    [
        {"tie_word_embeddings": True},
        {"attention_bias": True, "mlp_bias": True},
        {"num_key_value_heads": 4},
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}},
        {"hidden_act": "gelu"},
    ],
    ids=["tied output layer", "biases", "a key for each head", "scaled positions", "GELU"],
)
def test_models_of_one_kind_that_differ(more: dict[str, Any], tmp_path: Any) -> None:
    both(base_of("llama", tmp_path / "base", **more), tmp_path / "work").require_equal(
        drawn_pairs(4)
    )


@pytest.mark.parametrize("lora", [{"use_rslora": True}, {"target_modules": ["q_proj", "v_proj"]}])
def test_adapters_of_other_scale_and_on_some_layers(
    lora: dict[str, Any], llama: ModelRef, tmp_path: Any
) -> None:
    both(llama, tmp_path, lora=lora).require_equal(drawn_pairs(4))


def test_what_is_made_again_in_the_backward_pass_is_gone_after_the_forward_pass(
    of_llama: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[weakref.ref[Any]] = []
    again = lean_layers.made_again

    def watched(*made: Any) -> Any:
        places.extend(weakref.ref(tensor) for tensor, _ in made)
        return again(*made)

    monkeypatch.setattr(lean_layers, "made_again", watched)
    monkeypatch.setattr(shared_prompt, "made_again", watched)
    of_llama.take(of_llama.ours)
    inputs = of_llama.trainer.data_collator(drawn_pairs(3))
    loss = of_llama.trainer.compute_loss(of_llama.trainer.model.train(), inputs)
    # Two layers: keys and values of three pairs each, for the reference too; and of the adapter
    # what goes into the projections of the attention's output and of the MLP (gate, up, down).
    assert len(places) == 2 * (2 * 2 * 3 + 4)
    assert [place() for place in places] == [None] * len(places)
    loss.backward()


def test_layers_that_are_checkpointed_make_nothing_again_of_their_own(
    llama: ModelRef, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = both(llama, tmp_path, machine={"gradient_checkpointing": True})
    kept.trainer.model.activation_checkpointing_enable()
    for module in (lean_layers, shared_prompt):
        monkeypatch.setattr(module, "made_again", None)
    kept.require_equal(drawn_pairs(4))


def test_weights_in_bf16_give_what_trls_forward_gives_and_fp32_roughly(
    llama: ModelRef, tmp_path: Any
) -> None:
    rounded = both(llama, tmp_path / "bf16", machine={"bf16": True})
    assert rounded.base.dtype == torch.bfloat16
    adapter = {p.dtype for p in rounded.trainer.model.parameters() if p.requires_grad}
    assert adapter == {torch.float32}
    whole = both(llama, tmp_path / "fp32")
    pairs = drawn_pairs(8)
    loss, metrics, gradients = rounded.of(rounded.ours, pairs)
    for other, others, theirs in (
        rounded.of(rounded.theirs, pairs),
        whole.of(whole.theirs, pairs),
    ):
        assert abs(loss - other) < 0.05
        for side in ("chosen", "rejected"):  # nats of an answer; they are some hundred
            assert abs(metrics[f"logps/{side}"] - others[f"logps/{side}"]) < 1
        ours, all_theirs = (
            torch.cat([one[name].flatten() for name in gradients]) for one in (gradients, theirs)
        )
        assert (ours - all_theirs).norm() < BF16 * all_theirs.norm()


def test_of_a_token_that_is_nearly_certain_bf16_keeps_the_gradient() -> None:
    """Its row less the mean of all rows, each rounded to 8 bits, would be their rounding alone."""
    drawn = torch.Generator().manual_seed(0)
    head = torch.nn.Linear(64, 500, bias=False).requires_grad_(False)
    drawn_rows = torch.randn(500, 64, generator=drawn)
    head.weight.copy_(torch.nn.functional.normalize(drawn_rows))
    tokens = torch.tensor([3, 141, 59])
    states = 14 * head.weight[tokens]
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        given = states.detach().to(dtype).requires_grad_()
        log_probs, *_ = shared_prompt._scored(given, head.to(dtype), tokens)
        log_probs.sum().backward()
        found[dtype] = given.grad.float()
        assert (log_probs.exp() > 0.99).all() and (log_probs.exp() < 0.99999).all()
    fp32, bf16 = found.values()
    assert (bf16 - fp32).norm() < 0.05 * fp32.norm()


def test_two_calls_a_pair_are_attention_under_the_mask_of_the_row_with_its_gradients() -> None:
    from torch.nn.attention.flex_attention import create_mask

    cpu = torch.device("cpu")
    pairs = [Pair(3, 7, 4), Pair(0, 5, 6), Pair(6, 6, 2), Pair(4, 9, 0)]
    count = sum(one.chosen + one.own for one in pairs)
    seen = shared_prompt.seen_in_row(pairs, cpu)
    mask = create_mask(seen, None, None, count, count, device="cpu")
    drawn = torch.Generator().manual_seed(0)
    qkv = [torch.randn(1, 2, count, 8, generator=drawn) for _ in range(3)]
    found = []
    for dense in (True, False):
        given = [one.clone().requires_grad_() for one in qkv]
        if dense:
            made = torch.nn.functional.scaled_dot_product_attention(*given, attn_mask=mask)
            made = made.transpose(1, 2)
        else:
            layout = shared_prompt._layout(pairs, cpu, keep_less=True)
            made, _ = shared_prompt._attend(torch.nn.Module(), *given, None, layout=layout)
        (made * torch.arange(made.numel()).view(made.shape).cos()).sum().backward()
        found.append([made.detach(), *(one.grad for one in given)])
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


def test_one_mask_for_the_row_as_a_gpu_has_it_sees_the_same(
    of_llama: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.core.shared_prompt.FLEX", ("cpu",))
    of_llama.require_equal(drawn_pairs(4), training=False)


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
        of_llama.take(forward)
        found.append(of_llama.trainer.compute_ref_log_probs(of_llama.trainer.model, inputs))
    torch.testing.assert_close(found[1], found[0], atol=CLOSE, rtol=CLOSE)


def test_logits_and_texts_asked_of_the_same_model_are_the_models_own(of_llama: Both) -> None:
    ids = torch.tensor([[9, 8, 7, 6], [0, 0, 9, 8]])
    given = {"input_ids": ids, "attention_mask": (ids != 0).long()}
    found = []
    for forward in (of_llama.theirs, of_llama.ours):
        of_llama.take(forward)
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
