"""Disk and memory that a run takes, against what is there.

in   the base's size and files, the recipe, tokens of a text as training pads it
out  Need: a sentence with its formula, bytes needed and bytes there

Both are estimates from above: what earlier runs left is not counted off. Activations after
Korthikanti et al. 2022, https://arxiv.org/abs/2205.05198: 34 bytes a token, layer and unit of width
in 16 bits, without the attention's own square, which the usual kernels do not keep.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.core.errors import InputError
from tasks.core.machine import Effective, without_weights
from tasks.core.merge import require_mergeable
from tasks.core.models import ModelRef
from tasks.core.settings import Lora, Recipe
from tasks.core.trainer import lora_config, require_modules

OF_A_LAYER = 17  # values a token and unit of width that are kept for the way back
OF_A_LOGIT = 3  # the logits, their log-softmax, the gradient
OF_A_TRAINED = 16  # bytes of a trained parameter: itself, its gradient, Adam's two moments
CHECKPOINTS = 3  # the newest, the best, and the one that is being written
COMPARED = 1024  # tokens whose logits of two models are compared after merging
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


class Need(BaseModel):
    """Bytes at one place."""

    model_config = ConfigDict(frozen=True)

    place: str
    parts: dict[str, int]  # what for -> bytes
    free: int | None  # None: not known

    @property
    def needed(self) -> int:
        return sum(self.parts.values())

    @property
    def is_short(self) -> bool:
        return self.free is not None and self.needed > self.free


@dataclass(frozen=True)
class Model:
    """A base at its full size, and the adapter on it."""

    parameters: int
    trainable: int
    width: int
    layers: int
    vocabulary: int


def without_weights_at(folder: Path, name: str, lora: Lora) -> Model:
    """Of the base `name`, whose small files are in `folder`. Raises InputError for what a run
    refuses it for."""
    here = ModelRef(repo=str(folder), revision="")
    with named(folder, name):
        model = without_weights(here)
        require_mergeable(here)
        require_modules(here, lora)
    from peft import get_peft_model

    parameters, config = model.num_parameters(), model.config.get_text_config()
    trainable, _ = get_peft_model(model, lora_config(lora)).get_nb_trainable_parameters()
    shape = config.hidden_size, config.num_hidden_layers, config.vocab_size
    return Model(parameters, trainable, *shape)


@contextmanager
def named(folder: Path, name: str) -> Iterator[None]:
    """Faults of the files in `folder` are those of the repository `name`."""
    try:
        yield
    except InputError as error:
        told = str(error).replace(f"{folder}@", name).replace(str(folder), name)
        raise InputError(told) from error


def disk(size: Model, recipe: Recipe, weights: int, data: int, *, here: bool) -> dict[str, int]:
    """What a run writes, by what it is for. `weights` and `data`: bytes of the base's files and of
    the data set's; `here`: the Hub is on this disk too."""
    merged = weights
    if recipe.merge.dtype != "auto":
        merged = size.parameters * BYTES[recipe.merge.dtype]
    adapter = 4 * size.trainable
    tried = max(1, len(recipe.sweep.learning_rate)) * max(1, len(recipe.sweep.beta))
    parts = {
        "data set as stages": 3 * data,  # as it came, rewritten, as pairs
        # Text twice, and 8 bytes a token: 6.0 for HH pairs at 2.1 bytes of text a token.
        "pairs and their tokens in training": 6 * data,
        "checkpoints": tried * (CHECKPOINTS * 3 * adapter + adapter),  # with Adam's two moments
        "merged model": merged,
        "verifying, in a fresh cache": weights + merged + adapter + data,
    }
    if here:
        parts["the Hub on this disk"] = merged + adapter + data
    return {name: count for name, count in parts.items() if count}


def memory(size: Model, recipe: Recipe, machine: Effective, tokens: int) -> dict[str, int]:
    """The larger of training and merging; `tokens` of a text, with its padding."""
    bits = 4 if machine.load_in_4bit else 16 if machine.bf16 else 32
    value = 2 if machine.bf16 else 4
    at_once = 2 * recipe.batch.per_device_train_batch_size * tokens
    kept = OF_A_LAYER * (1 if machine.gradient_checkpointing else size.layers)
    kept += size.layers if machine.gradient_checkpointing else 0  # each layer's input
    training = {
        f"training: weights in {bits} bits": size.parameters * bits // 8,
        "adapter, its gradient and Adam": OF_A_TRAINED * size.trainable,
        f"activations of {at_once:,} tokens": at_once * kept * size.width * value,
        "their logits": OF_A_LOGIT * 4 * at_once * size.vocabulary,
    }
    lossy = recipe.merge.dtype in ("bfloat16", "float16")
    merging = {
        "merging: base with adapter, merged and loaded again": (8 if lossy else 12)
        * size.parameters,
        "logits of two": 2 * 4 * COMPARED * size.vocabulary,
    }
    return max(training, merging, key=lambda parts: sum(parts.values()))


def on_disks(fetched: dict[str, int], written: dict[str, int]) -> tuple[Need, ...]:
    """`fetched` into the Hub's cache, `written` into the work folder; often one disk holds both."""
    from huggingface_hub import constants

    loads = {f"download of {name}": count for name, count in fetched.items() if count}
    cache, work = _there(Path(constants.HF_HUB_CACHE)), _there(work_place())
    if cache.stat().st_dev == work.stat().st_dev:
        return (Need(place="disk", parts=loads | written, free=shutil.disk_usage(work).free),)
    return (
        Need(place="the Hub's cache", parts=loads, free=shutil.disk_usage(cache).free),
        Need(place="the work folder", parts=written, free=shutil.disk_usage(work).free),
    )


def work_place() -> Path:
    """Where the work folder is, or would be: a plan makes none."""
    return Path(os.environ.get("PAIRPRESS_HOME", ".pairpress")).resolve()


def _there(folder: Path) -> Path:
    return next(one for one in (folder, *folder.parents) if one.exists())


def free_memory(machine: Effective) -> tuple[str, int | None]:
    """(which, bytes): the GPU's, or what this process may still take."""
    if machine.on_gpu:
        import torch

        return machine.device, int(torch.cuda.mem_get_info()[0])
    return "memory", _available()


def _available() -> int | None:
    """As the kernel says, within what a container may have."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # macOS: all there is
        return pages if pages > 0 else None
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    limits = [kilobytes * 1024]
    group = Path("/sys/fs/cgroup")
    try:
        most = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
    except OSError:
        return limits[0]
    return min([*limits, *([int(most) - used] if most != "max" else [])])
