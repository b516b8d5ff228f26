"""Merging: random models of real kinds and their adapters, put on a real localhub."""

import json
from pathlib import Path
from typing import Any

import pytest
from random_models import tokenizer_in

from tasks.core.errors import InputError, Refused
from tasks.core.merge import (
    Parity,
    dtype_of,
    merge_adapter,
    prompts_to_compare,
    require_mergeable,
    require_prompts,
)
from tasks.core.models import ModelRef

SETTINGS = {"max_new_tokens": 6, "batch_size": 16, "rehearsal": True}


def asking(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


PROMPTS = [asking(f"What is {number}?") for number in range(50)]
FEW = PROMPTS[:8]


@pytest.fixture
def put(hub: object, tmp_path: Path):
    """put(name, kind, ...) -> (commit on the Hub, folder) of a random model"""

    def make(
        name: str, kind: str = "llama", *, tied: bool = False, dtype: str = "float32", **more: Any
    ) -> tuple[ModelRef, Path]:
        import torch
        from huggingface_hub import HfApi
        from transformers import AutoConfig, AutoModelForCausalLM

        folder = tmp_path / name
        folder.mkdir()
        tokenizer = tokenizer_in(folder)
        settings = {
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 64,
            "tie_word_embeddings": tied,
            "initializer_range": 0.3,  # so that some tokens are much likelier than others
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
        config = AutoConfig.for_model(kind, **settings | more)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            model = AutoModelForCausalLM.from_config(config)
        model.to(getattr(torch, dtype)).save_pretrained(folder)
        repo = HfApi().create_repo(f"pairpress/merge-{name}").repo_id
        commit = HfApi().upload_folder(folder_path=folder, repo_id=repo).oid
        return ModelRef(repo=repo, revision=commit), folder

    return make


def adapter_of(folder: Path, scale: float = 0.3, rows: int = 0, **settings: Any) -> Path:
    """A LoRA for the model in a folder, every weight of it drawn, as peft saves it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if rows:
        model.resize_token_embeddings(rows)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        lora = LoraConfig(**{"r": 4, "target_modules": ["q_proj", "down_proj"]} | settings)
        found = get_peft_model(model, lora)
        for weight in found.parameters():
            if weight.requires_grad:
                weight.data += scale * torch.randn_like(weight)
    found.save_pretrained(folder / "adapter")
    return folder / "adapter"


def stored(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json and the weights."""
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    return config, load_file(folder / "model.safetensors")


def test_a_merged_model_in_fp32_answers_as_base_and_adapter_do(put, tmp_path):
    base, folder = put("plain")
    facts = merge_adapter(
        *(base, adapter_of(folder), PROMPTS, tmp_path / "merged"),
        dtype="auto",
        max_new_tokens=6,
        batch_size=16,
    )
    assert (facts["dtype"], facts["prompts"], facts["faults"]) == ("float32", 50, [])
    assert list(facts["parity"]) == ["adapter_merged", "merged_reloaded", "adapter_reloaded"]
    for found in facts["parity"].values():
        assert found["largest"] < 1e-4 and found["mean"] <= found["largest"]
        assert (found["greedy"], found["unequal"]) == (1.0, 0)
        assert found["top1"] > 0.999 and found["tokens"] > 50 * 6
    assert facts["parity"]["merged_reloaded"]["largest"] == 0.0
    assert facts["largest_logit_difference"] == facts["parity"]["adapter_reloaded"]["largest"] > 0
    config, weights = stored(tmp_path / "merged")
    assert config["dtype"] == "float32"
    assert {str(one.dtype) for one in weights.values()} == {"torch.float32"}


def test_each_weight_of_the_merged_model_is_that_of_the_base_and_its_change(put, tmp_path):
    """Hu et al. 2021, section 4.1: W + alpha / r * B A."""
    import torch
    from safetensors.torch import load_file

    base, folder = put("sum", dtype="bfloat16")
    adapter = adapter_of(folder, lora_alpha=6)
    merge_adapter(base, adapter, FEW, tmp_path / "merged", dtype="float32", **SETTINGS)
    (_, before), (_, after) = stored(folder), stored(tmp_path / "merged")
    changes = load_file(adapter / "adapter_model.safetensors")
    for name, weight in after.items():
        expected = before[name].float()
        if f"base_model.model.{name.replace('weight', 'lora_A.weight')}" in changes:
            a, b = (
                changes[f"base_model.model.{name.replace('weight', f'lora_{side}.weight')}"]
                for side in "AB"
            )
            expected = expected + 6 / 4 * b @ a
            assert not torch.equal(weight, before[name].float())
        torch.testing.assert_close(weight, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_model_is_cast_after_merging_and_loads_as_it_was_saved(put, tmp_path, dtype):
    import torch

    base, folder = put("half-" + dtype, dtype=dtype)
    assert dtype_of(base) == dtype
    adapter = adapter_of(folder)
    facts = merge_adapter(base, adapter, FEW, tmp_path / "cast", dtype="auto", **SETTINGS)
    merge_adapter(base, adapter, FEW, tmp_path / "whole", dtype="float32", **SETTINGS)
    (config, cast), (_, whole) = stored(tmp_path / "cast"), stored(tmp_path / "whole")
    assert config["dtype"] == facts["dtype"] == dtype
    for name, weight in cast.items():
        assert torch.equal(weight, whole[name].to(getattr(torch, dtype)))
    found = facts["parity"]
    assert found["adapter_merged"]["largest"] < 1e-4  # before it is cast
    assert found["merged_reloaded"]["largest"] == 0.0
    assert found["adapter_reloaded"]["largest"] > 1e-4
    assert found["adapter_reloaded"]["mean"] < 0.2  # of logits as large as 20


def test_casting_that_changes_answers_is_refused_with_its_numbers_and_a_way_out(put, tmp_path):
    base, folder = put("flat", initializer_range=0.02)  # all tokens are about as likely
    adapter = adapter_of(folder, scale=0.02)
    settings = {"dtype": "bfloat16", "max_new_tokens": 24, "batch_size": 64}
    reason = r"on 50 prompts.*\d+ greedy answers differ.*at least 99%.*merge\.dtype: float32"
    with pytest.raises(Refused, match=reason):
        merge_adapter(base, adapter, PROMPTS, tmp_path / "merged", **settings)
    told = merge_adapter(
        base, adapter, PROMPTS[:12], tmp_path / "merged", **settings, rehearsal=True
    )
    assert len(told["faults"]) == 1 and told["unequal_greedy_answers"] > 0


TIED = [
    ("llama", {"target_modules": ["q_proj", "embed_tokens"]}, False),
    ("qwen2", {"target_modules": ["q_proj", "lm_head"]}, False),
    ("qwen2", {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, False),
    ("llama", {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]}, False),
    ("qwen2", {"target_modules": ["embed_tokens"], "ensure_weight_tying": True}, True),
    ("llama", {"target_modules": "all-linear"}, True),
]


@pytest.mark.filterwarnings("ignore:Model with `tie_word_embeddings=True`")
@pytest.mark.parametrize(("kind", "settings", "stays_tied"), TIED)
def test_tied_embeddings_part_where_an_adapter_changes_one_of_them(
    put, tmp_path, kind, settings, stays_tied
):
    number = TIED.index((kind, settings, stays_tied))
    base, folder = put(f"tied-{number}", kind, tied=True)
    adapter = adapter_of(folder, **settings)
    facts = merge_adapter(base, adapter, FEW, tmp_path / "merged", dtype="float32", **SETTINGS)
    assert facts["faults"] == []
    config, weights = stored(tmp_path / "merged")
    assert config["tie_word_embeddings"] is stays_tied
    assert ("lm_head.weight" in weights) is not stays_tied


def test_a_tokenizer_with_more_tokens_than_the_model_has_rows_is_refused_by_name(put):
    base, _ = put("fewer-rows", vocab_size=1190)
    with pytest.raises(InputError, match=r"1,200 tokens, its embed_tokens 1,190 rows: the last 10"):
        require_mergeable(base)


def test_more_rows_than_tokens_are_padding_and_merge(put, tmp_path):
    base, folder = put("more-rows", vocab_size=1280)
    adapter = adapter_of(folder)
    facts = merge_adapter(base, adapter, FEW, tmp_path / "merged", dtype="auto", **SETTINGS)
    assert facts["faults"] == []


@pytest.mark.filterwarnings("ignore")
def test_an_adapter_with_added_tokens_is_refused_by_the_name_of_the_module(put, tmp_path):
    base, folder = put("added")
    adapter = adapter_of(folder, rows=1216, modules_to_save=["embed_tokens", "lm_head"])
    with pytest.raises(InputError, match=r"does not fit .*embed_tokens.*1216.*1200.*added tokens"):
        merge_adapter(base, adapter, FEW, tmp_path / "merged", dtype="auto", **SETTINGS)


def test_a_base_without_weights_in_full_precision_is_refused(put):
    quantized = {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    base, _ = put("gptq", **quantized)
    with pytest.raises(InputError, match=r"stored as gptq.*Set base\.model"):
        require_mergeable(base)


def test_fewer_than_fifty_prompts_are_refused_and_a_rehearsal_takes_any():
    with pytest.raises(InputError, match=r"49 held-out prompts, at least 50.*Raise splits\.test"):
        require_prompts(PROMPTS[:49])
    require_prompts(PROMPTS[:50])
    require_prompts(PROMPTS[:1], least=1)
    asked = PROMPTS[:3]
    rows = [{"prompt": prompt} for prompt in [*PROMPTS[:1], *(asking(str(n)) for n in range(200))]]
    assert prompts_to_compare(asked, rows)[:4] == [*asked, rows[1]["prompt"]]
    assert len(prompts_to_compare(asked, rows)) == 100


def parity(largest: float, unequal: int, of: int = 100) -> Parity:
    return Parity(largest, largest / 2, 1.0, 1 - unequal / of, unequal, of * 10)


@pytest.mark.parametrize(
    ("found", "exact", "said"),
    [
        (parity(9e-5, 0), True, []),
        (parity(1e-4, 0), True, ["largest logit difference 1.00e-04 (limit 1e-04)"]),
        (parity(float("nan"), 0), True, ["largest logit difference nan (limit 1e-04)"]),
        (parity(0.0, 1), True, ["1 greedy answers differ, so 99.0% are equal (all must be)"]),
        (parity(0.2, 1), False, []),  # bf16: logits may differ, one answer in a hundred too
        (
            parity(0.2, 2),
            False,
            ["2 greedy answers differ, so 98.0% are equal (at least 99% must be)"],
        ),
    ],
)
def test_what_two_models_may_differ_by(found, exact, said):
    assert list(found.faults("a and b", exact)) == [f"a and b: {one}" for one in said]
