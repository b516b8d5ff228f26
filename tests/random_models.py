"""Small random models for tests: the demo's tokenizer, a writer, a reward model.

in   a folder to put the tokenizer in
out  real transformers objects, the same every time, made in a second
"""

import json
from pathlib import Path
from typing import Any


def tokenizer_in(folder: Path) -> Any:
    from transformers import AutoTokenizer

    from demo.tiny_tokenizer import write_tokenizer

    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    write_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


def writer(tokenizer: Any) -> Any:
    """A causal model that ends its turn about once in six tokens, all others being as likely."""
    from transformers import LlamaForCausalLM

    model = _random(LlamaForCausalLM, tokenizer, seed=2)
    # One large number in all states, about the root of their width after the last norm, is
    # exp(5.7) = 290 to 1 for the token that reads it, against 1,200 others.
    model.model.embed_tokens.weight.data[:, 0] = 5.0
    model.lm_head.weight.data[tokenizer.eos_token_id, 0] = 1.0
    return model


def classifier(tokenizer: Any, **options: Any) -> Any:
    from transformers import LlamaForSequenceClassification

    return _random(LlamaForSequenceClassification, tokenizer, seed=1, **options)


def _random(kind: Any, tokenizer: Any, seed: int, **options: Any) -> Any:
    import torch
    from transformers import LlamaConfig

    settings = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 64,
        "num_labels": 1,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(LlamaConfig(**(settings | options))).eval()
