"""What the hardware decides: settings left empty are chosen for the machine that is found.

in   the recipe's `machine` section; whether each pair is scored more than once
out  Effective, as training runs and as the run page shows it; the base model loaded that way
"""

from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any

from tasks.core.errors import InputError
from tasks.core.kinds import SHARING
from tasks.core.models import TINY, ModelRef, device, snapshot
from tasks.core.settings import Machine


@dataclass(frozen=True)
class Effective:
    """Part of what a training is known by, so nothing in it depends on the load of the machine."""

    device: str  # cpu, or the name of the GPU
    dtype: str  # of the frozen weights; the adapter is always float32, but in 4-bit
    bf16: bool  # frozen weights and products; the adapter's own weights stay in fp32
    load_in_4bit: bool
    gradient_checkpointing: bool
    attn_implementation: str | None  # None: the model's own choice
    precompute_ref_log_probs: bool
    shared_prompt: bool  # where the model is one of SHARING, and more (why_not_shared)

    @property
    def on_gpu(self) -> bool:
        return self.device != "cpu"

    @property
    def threads(self) -> int:
        import torch

        return int(torch.get_num_threads())

    def as_dict(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"threads": self.threads}


def effective(machine: Machine, each_pair_again: bool) -> Effective:
    """Raises InputError for what this machine cannot do."""
    import torch

    on_gpu = device() == "cuda"
    has_bf16 = on_gpu and torch.cuda.is_bf16_supported()
    bf16 = has_bf16 if machine.bf16 is None else machine.bf16
    if bf16 and on_gpu and not has_bf16:
        raise InputError(
            "machine.bf16: true, but the GPU here does not compute in it. Leave it empty: "
            "fp32 is used then, and bf16 wherever a GPU has it."
        )
    if machine.load_in_4bit and not on_gpu:
        raise InputError(
            "machine.load_in_4bit: true, but 4-bit kernels need a GPU and there is none here. "
            "Set it to false; a smaller base.model fits in memory without it."
        )
    if machine.load_in_4bit and find_spec("bitsandbytes") is None:
        raise InputError(
            "machine.load_in_4bit: true needs bitsandbytes, which is not installed. "
            "pip install 'pairpress[qlora]', or set it to false."
        )
    if machine.attn_implementation == "flash_attention_2":
        if not on_gpu:
            raise InputError(
                "machine.attn_implementation: flash_attention_2 runs on a GPU only, and there is "
                "none here. Leave it empty."
            )
        if find_spec("flash_attn") is None:
            raise InputError(
                "machine.attn_implementation: flash_attention_2 needs flash_attn, which is not "
                "installed. pip install flash-attn, or leave it empty: sdpa is nearly as fast."
            )
        if not bf16:
            raise InputError(
                "machine.attn_implementation: flash_attention_2 computes in 16 bits only, and "
                "bf16 is off here. Leave it empty."
            )
    checkpointing, again = machine.gradient_checkpointing, machine.precompute_ref_log_probs
    return Effective(
        device=torch.cuda.get_device_name() if on_gpu else "cpu",
        dtype="bfloat16" if bf16 else "float32",
        bf16=bf16,
        load_in_4bit=machine.load_in_4bit,
        gradient_checkpointing=on_gpu if checkpointing is None else checkpointing,
        attn_implementation=machine.attn_implementation,
        precompute_ref_log_probs=each_pair_again if again is None else again,
        shared_prompt=not on_gpu if machine.shared_prompt is None else machine.shared_prompt,
    )


def why_not_shared(machine: Effective, config: Any, max_length: int) -> str | None:
    """Why TRL's own forward is taken; None where each prompt is computed once (shared_prompt.py).

    `config`: of the model.
    """
    window = getattr(config, "sliding_window", None)
    windowed = getattr(config, "use_sliding_window", True) and window and window < max_length
    if not machine.shared_prompt:
        if machine.on_gpu:
            return "a shared prompt was measured on CPUs only (machine.shared_prompt=true takes it)"
        return "machine.shared_prompt is false"
    if config.model_type not in SHARING:
        return f"a shared prompt was proven with {', '.join(SHARING)}, and not {config.model_type}"
    if windowed:
        return f"this model's attention sees {window} tokens, reading.max_length is {max_length}"
    if getattr(config, "attention_dropout", 0.0):
        return f"this model's attention drops {config.attention_dropout:g} by chance"
    if machine.load_in_4bit:
        return "machine.load_in_4bit is true"
    if machine.attn_implementation not in (None, "sdpa"):
        return f"machine.attn_implementation is {machine.attn_implementation}, not sdpa"
    return None


def load_for_training(base: ModelRef, machine: Effective) -> Any:
    """The frozen base as training has it; an adapter is put on top by the trainer."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(snapshot(base), **loading(machine))
    if not machine.on_gpu and model.num_parameters() < TINY:
        torch.set_num_threads(1)
    return model


def without_weights(base: ModelRef) -> Any:
    """The model with all its modules and no memory. Raises InputError where it writes no text."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = snapshot(base)
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    except (OSError, ValueError) as error:  # no config.json; a kind of model unknown, or no writer
        reason = str(error).splitlines()[0]
        raise InputError(
            f"base.model {base}: cannot be loaded as a model that writes text ({reason})."
        ) from error


def loading(machine: Effective) -> dict[str, Any]:
    """What from_pretrained is told."""
    import torch

    dtype = torch.bfloat16 if machine.bf16 else torch.float32
    options: dict[str, Any] = {"dtype": dtype}
    if machine.attn_implementation is not None:
        options["attn_implementation"] = machine.attn_implementation
    if machine.load_in_4bit:
        from transformers import BitsAndBytesConfig

        options["quantization_config"] = BitsAndBytesConfig(  # Dettmers et al. 2023, section 3
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
        options["device_map"] = {"": 0}  # quantised while it is loaded, so on the GPU at once
    return options
