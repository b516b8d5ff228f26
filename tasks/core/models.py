"""Hub repositories -> models and tokenizers in memory, always from a pinned commit.

in   owner/name and a branch, tag or commit
out  a local snapshot of that commit; models in fp32 on the machine's device, eval mode
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.core.errors import InputError
from tasks.core.hub import hub_errors
from tasks.core.stage import looking

TINY = 5_000_000  # parameters below which a second thread costs more than it brings
MODEL_FILES = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt", "README.md"]


class ModelRef(BaseModel):
    """A model repository at one commit."""

    model_config = ConfigDict(frozen=True)

    repo: str
    revision: str  # commit sha, 40 hex digits

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}"


def resolve_model(repo: str, revision: str, setting: str = "base.model") -> ModelRef:
    """The commit that a branch or tag stands for now. Raises InputError if it cannot be read."""
    from huggingface_hub import HfApi

    with hub_errors(f"{setting} {repo}@{revision}"):
        sha = HfApi().model_info(repo, revision=revision).sha
    return ModelRef(repo=repo, revision=str(sha))


def snapshot(model: ModelRef) -> Path:
    """Folder with the files of that commit, downloaded once into the Hub's cache."""
    from huggingface_hub import snapshot_download

    if Path(model.repo).is_absolute():  # a folder; no repository is called like that
        return Path(model.repo)
    with hub_errors(str(model)):
        return Path(
            snapshot_download(
                model.repo,
                revision=model.revision,
                allow_patterns=MODEL_FILES,
                local_files_only=looking.get() is not None,  # a plan downloads no weights
            )
        )


def repository_folder(name: str) -> Path:
    """A local folder as it is, or a snapshot of the repository owner/name[@revision]."""
    if Path(name).is_dir():
        return Path(name)
    repo, _, revision = name.partition("@")
    return snapshot(resolve_model(repo, revision or "main", "model"))


def tokenizer_folder(name: str) -> Path:
    """A local folder as it is, or the small files of owner/name[@revision]: no weights."""
    from huggingface_hub import snapshot_download

    if Path(name).is_dir():
        return Path(name)
    repo, _, revision = name.partition("@")
    model = resolve_model(repo, revision or "main", "--tokenizer")
    small = [pattern for pattern in MODEL_FILES if pattern != "*.safetensors"]
    with hub_errors(str(model)):
        return Path(snapshot_download(model.repo, revision=model.revision, allow_patterns=small))


def load_tokenizer(model: ModelRef) -> Any:
    return load_tokenizer_at(snapshot(model))


def load_tokenizer_at(folder: Path) -> Any:
    """The folder's tokenizer; one without a pad token pads with its end of sequence."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{folder}: no tokenizer can be loaded from it ({reason}).") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def stop_ids(tokenizer: Any) -> frozenset[int]:
    """Tokens that end an answer: the tokenizer's, and the model's where its files stand beside it.

    Gemma's template ends a turn with <end_of_turn>, which generation_config.json alone calls so.
    """
    found = {tokenizer.eos_token_id}
    for name in ("generation_config.json", "config.json"):
        path = Path(tokenizer.name_or_path or "-") / name
        ends = json.loads(path.read_text()).get("eos_token_id") if path.is_file() else None
        if ends is not None:
            return frozenset(found | set(ends if isinstance(ends, list) else [ends])) - {None}
    return frozenset(found - {None})


def load_model(model: ModelRef, adapter: Path | None = None) -> Any:
    """The model in fp32, with a LoRA adapter on top if one is given."""
    import torch
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(
        snapshot(model), dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
    if device() == "cpu" and loaded.num_parameters() < TINY:
        torch.set_num_threads(1)
    if adapter is not None:
        from peft import PeftModel

        loaded = PeftModel.from_pretrained(loaded, str(adapter))
    return loaded.to(device()).eval()


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
