"""Chat templates as models carry them, and small tokenizers of the two common kinds.

in   the name of a template, an empty folder
out  a tokenizer in that folder, with that template, trained on a few sentences
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from tasks.core.models import load_tokenizer_at

SENTENCES = (
    "Who are you? I am a plain assistant. What is the capital of France? It is Paris, of course.",
    "Tell me more, please. Here are three things: bread, rain and a small town. I cannot say.",
)

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN = (
    "{%- if messages[0]['role'] == 'system' %}"
    "{{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}"
    "{%- else %}{{- '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
    "assistant.<|im_end|>\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{%- if (message.role == 'user') or (message.role == 'system' and not loop.first) "
    "or (message.role == 'assistant') %}"
    "{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}"
    "{%- elif message.role == 'tool' %}"
    "{{- '<|im_start|>user\n<tool_response>\n' + message.content + '\n</tool_response>"
    "<|im_end|>\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
LLAMA_2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}"
    "{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}"
    "{% endif %}{% endfor %}"
)
ZEPHYR = (
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n"
    "{{ '<|user|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'system' %}\n"
    "{{ '<|system|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'assistant' %}\n"
    "{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
)
LLAMA_3 = (
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
    "{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}"
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}"
    "{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"
)

# name: (template, kind of tokenizer, its special tokens, what ends a turn)
TEMPLATES = {
    "ChatML": (CHATML, "bytes", {"eos": "<|im_end|>", "pad": "<|endoftext|>"}, "<|im_end|>"),
    "Qwen2.5": (QWEN, "bytes", {"eos": "<|im_end|>", "pad": "<|endoftext|>"}, "<|im_end|>"),
    "Llama-2": (LLAMA_2, "spaces", {"bos": "<s>", "eos": "</s>"}, "</s>"),
    "Zephyr": (ZEPHYR, "spaces", {"bos": "<s>", "eos": "</s>", "pad": "</s>"}, "</s>"),
    "Llama-3": (LLAMA_3, "bytes", {"bos": "<|begin_of_text|>", "eos": "<|eot_id|>"}, "<|eot_id|>"),
    "Gemma": (
        GEMMA,
        "spaces",
        {"bos": "<bos>", "eos": "<eos>", "pad": "<pad>"},
        "<end_of_turn>",
    ),
}
MARKS = (
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|start_header_id|>", "<|end_header_id|>"),
    *("<start_of_turn>", "<end_of_turn>"),
)


@cache
def _trained(kind: str, special: tuple[str, ...]) -> str:
    """A tokenizer as JSON: "bytes" as GPT-2, Llama-3 and Qwen have it, "spaces" as SentencePiece
    models do, which write a space before the first word; "older": after every special token."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if kind == "bytes":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        if kind == "older":
            tokenizer.normalizer = normalizers.Sequence(
                [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
            )
        else:
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
        alphabet = []
        special = ("<unk>", *special, *(f"<0x{byte:02X}>" for byte in range(256)))
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=list(dict.fromkeys(special)),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    made = json.loads(tokenizer.to_str())
    # The trainer takes bytes as special tokens only; in a model's tokenizer they are plain ones.
    made["added_tokens"] = [t for t in made["added_tokens"] if not t["content"].startswith("<0x")]
    return json.dumps(made)


def tokenizer_in(folder: Path, template: str, kind: str, special: dict[str, str]) -> Any:
    """A tokenizer as it comes from the Hub; like Llama's it puts its bos before every text."""
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    fast = Tokenizer.from_str(_trained(kind, (*special.values(), *MARKS)))
    if "bos" in special:
        bos = special["bos"]
        fast.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, fast.token_to_id(bos))]
        )
    named = {f"{key}_token": value for key, value in special.items()}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=fast, **named)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return load_tokenizer_at(folder)


def tokenizer_of(folder: Path, name: str) -> Any:
    """With generation_config.json beside it, which names what ends a turn."""
    template, kind, special, end = TEMPLATES[name]
    tokenizer = tokenizer_in(folder, template, kind, special)
    ends = sorted({tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(end)})
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    return tokenizer
