"""What training runs on: chosen for the machine that is found, refused where it cannot."""

import pytest
import torch

from tasks.core import machine as machine_module
from tasks.core.errors import InputError
from tasks.core.machine import effective, loading
from tasks.core.settings import Machine


@pytest.fixture
def no_gpu(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def gpu(monkeypatch):
    """As on an H100: what is asked of torch is answered as there."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")


def test_on_a_processor_all_is_fp32_and_nothing_is_computed_twice_to_save_memory(no_gpu):
    found = effective(Machine(), each_pair_again=False)
    assert (found.device, found.dtype, found.bf16) == ("cpu", "float32", False)
    assert not found.gradient_checkpointing and not found.load_in_4bit


def test_on_a_gpu_weights_are_bf16_and_memory_is_saved(gpu):
    found = effective(Machine(), each_pair_again=False)
    assert (found.device, found.dtype, found.bf16) == ("NVIDIA H100", "bfloat16", True)
    assert found.gradient_checkpointing


def test_what_the_recipe_says_is_taken_over_what_the_machine_suggests(gpu):
    asked = Machine(bf16=False, gradient_checkpointing=False, attn_implementation="sdpa")
    found = effective(asked, each_pair_again=False)
    assert (found.dtype, found.gradient_checkpointing) == ("float32", False)
    assert found.attn_implementation == "sdpa"


def test_on_a_cpu_bf16_rounds_the_frozen_weights_where_it_is_asked_for(no_gpu):
    found = effective(Machine(bf16=True), each_pair_again=False)
    assert (found.device, found.dtype, found.bf16) == ("cpu", "bfloat16", True)


def test_a_gpu_without_bf16_says_so(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    with pytest.raises(InputError, match=r"machine\.bf16: true, but the GPU .* Leave it empty"):
        effective(Machine(bf16=True), each_pair_again=False)


@pytest.mark.parametrize(
    ("asked", "again", "precomputed"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_the_reference_is_computed_before_where_that_is_asked_or_each_pair_comes_again(
    no_gpu, asked, again, precomputed
):
    found = effective(Machine(precompute_ref_log_probs=asked), each_pair_again=again)
    assert found.precompute_ref_log_probs is precomputed


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"load_in_4bit": True}, r"machine\.load_in_4bit: true, .* none here\. Set it to false"),
        (
            {"attn_implementation": "flash_attention_2"},
            r"flash_attention_2 runs on a GPU only, .* Leave it empty",
        ),
    ],
)
def test_without_a_gpu_what_needs_one_is_refused_with_the_way_out(no_gpu, asked, named):
    with pytest.raises(InputError, match=named):
        effective(Machine(**asked), each_pair_again=False)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"load_in_4bit": True}, r"needs bitsandbytes, .* pip install 'pairpress\[qlora\]'"),
        ({"attn_implementation": "flash_attention_2"}, r"needs flash_attn, .* leave it empty"),
    ],
)
def test_on_a_gpu_a_library_that_is_missing_is_named(gpu, monkeypatch, asked, named):
    monkeypatch.setattr(machine_module, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=named):
        effective(Machine(**asked), each_pair_again=False)


def test_flash_attention_is_refused_in_fp32(gpu, monkeypatch):
    monkeypatch.setattr(machine_module, "find_spec", lambda _: object())
    asked = Machine(attn_implementation="flash_attention_2", bf16=False)
    with pytest.raises(InputError, match="computes in 16 bits only, and bf16 is off"):
        effective(asked, each_pair_again=False)


def test_four_bit_weights_are_nf4_quantised_twice_and_computed_with_in_bf16(gpu, monkeypatch):
    import torch

    monkeypatch.setattr(machine_module, "find_spec", lambda _: object())
    told = loading(effective(Machine(load_in_4bit=True), each_pair_again=False))
    config = told["quantization_config"]
    assert config.load_in_4bit and config.bnb_4bit_quant_type == "nf4"
    assert config.bnb_4bit_use_double_quant and config.bnb_4bit_compute_dtype == torch.bfloat16
    assert told["dtype"] == torch.bfloat16 and told["device_map"] == {"": 0}


def test_the_attention_kernel_is_named_only_where_the_recipe_names_it(no_gpu):
    assert "attn_implementation" not in loading(effective(Machine(), each_pair_again=False))
    asked = effective(Machine(attn_implementation="eager"), each_pair_again=False)
    assert loading(asked)["attn_implementation"] == "eager"


def test_threads_are_shown_but_another_number_is_no_other_training(no_gpu):
    import torch

    before = torch.get_num_threads()
    found = effective(Machine(), each_pair_again=False)
    try:
        torch.set_num_threads(before + 1)
        assert found == effective(Machine(), each_pair_again=False)
        assert found.as_dict()["threads"] == before + 1
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Of 150 pairs in batches of 4 a step, 156 steps; an epoch has 38 steps, the last of 2 pairs"""
    from small_training import recipe, small_base

    from tasks.core.effective import effective_settings

    asked = recipe(
        training={"max_steps": 156, "warmup_steps": 0.1, "seed": 3},
        lora={"r": 4, "lora_dropout": 0.05, "target_modules": ("q_proj",), "use_rslora": True},
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        return effective_settings(small_base(tmp_path_factory.mktemp("base")), asked, 150)
    finally:
        torch.set_num_threads(before)


def test_epochs_are_counted_as_transformers_does_with_a_smaller_last_step(shown):
    assert shown["steps"] == f"156 of 4 pairs, {156 / 38:.3g} epochs"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there it trains on the GPU")
def test_a_tiny_model_is_said_to_train_with_one_thread_before_it_is_loaded(shown):
    assert shown["device"] == "cpu, threads: 1"


def test_the_effective_settings_say_what_is_easily_overlooked(shown):
    assert shown["warmup"] == "16 steps, 0.1 of the run"  # 15.6 rounded up
    assert shown["seed"] == "3" and shown["target modules"] == "q_proj"
    assert shown["adapter"] == "rank 4, alpha 16, dropout 0.05, rsLoRA"
    assert shown["attention"] == "sdpa"
