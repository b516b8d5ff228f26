"""Miniatures of base models: their architecture, kind of tokenizer and template, a thousandth of
their size, random. What a recipe is rehearsed on, so that no weights have to be there.

in   owner/name of a base: one of SHAPES, or any whose config.json the Hub hands out
out  Shape; a model folder as the Hub would give it  https://huggingface.co/docs/hub/models-uploading

It is long because the shapes of the bases that our recipes name stand in it.
"""

import json
import re
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError

from tasks.core.errors import InputError
from tasks.core.fields import Message
from tasks.core.hub import endpoint, token_in

VOCABULARY = 1200  # tokens; the demo corpus has words for no more
WIDTH = 96  # about; a little more or less, so that the heads divide it
LAYERS = 2
MOST_STEPS = 300  # of teaching
LEARNED = 0.05  # nats a token: below it greedy answers are word for word those taught
OF_PIECES = ("LlamaTokenizer", "GemmaTokenizer")
MARK = re.compile(r"<\|?[a-z_/]+\|?>")  # what templates write around turns, as in <|im_end|>
DIMENSIONS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN_2_5 = (
    "{%- if messages[0]['role'] != 'system' %}{{- '<|im_start|>system\nYou are Qwen, created by "
    "Alibaba Cloud. You are a helpful assistant.<|im_end|>\n' }}{%- endif %}" + CHATML
)
SMOLLM_2 = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI "
    "assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}" + CHATML
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


@dataclass(frozen=True)
class Shape:
    """A base at its full size, as its config.json and tokenizer_config.json say."""

    config: dict[str, Any]
    pieces: bool  # SentencePiece, as Llama 2 and TinyLlama; else BPE over bytes, as GPT-2 and Qwen
    template: str
    special: dict[str, str] = field(default_factory=dict)  # {"eos": "</s>"}


CHATML_TOKENS = {"eos": "<|im_end|>", "pad": "<|endoftext|>"}
LLAMA_TOKENS = {"unk": "<unk>", "bos": "<s>", "eos": "</s>", "pad": "</s>"}

# What decides size and architecture in each model's config.json, written down from memory. Three
# are checked by the number of parameters that they come to, which is the one the model is known by.
SHAPES = {
    "Qwen/Qwen2.5-0.5B-Instruct": Shape(
        {
            "model_type": "qwen2",
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "vocab_size": 151936,
            "max_position_embeddings": 32768,
            "rope_theta": 1e6,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": True,
        },
        pieces=False,
        template=QWEN_2_5,
        special=CHATML_TOKENS,
    ),
    "HuggingFaceTB/SmolLM2-135M-Instruct": Shape(
        {
            "model_type": "llama",
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "vocab_size": 49152,
            "max_position_embeddings": 8192,
            "rope_theta": 1e5,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True,
        },
        pieces=False,
        template=SMOLLM_2,
        special={"bos": "<|im_start|>", "eos": "<|im_end|>", "pad": "<|im_end|>"},
    ),
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": Shape(
        {
            "model_type": "llama",
            "hidden_size": 2048,
            "intermediate_size": 5632,
            "num_hidden_layers": 22,
            "num_attention_heads": 32,
            "num_key_value_heads": 4,
            "vocab_size": 32000,
            "max_position_embeddings": 2048,
            "rope_theta": 1e4,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": False,
        },
        pieces=True,
        template=ZEPHYR,
        special=LLAMA_TOKENS,
    ),
    "Skywork/Skywork-Reward-V2-Qwen3-0.6B": Shape(
        {
            "model_type": "qwen3",
            "hidden_size": 1024,
            "intermediate_size": 3072,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 151936,
            "max_position_embeddings": 40960,
            "rope_theta": 1e6,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": True,
        },
        pieces=False,
        template=CHATML,
        special=CHATML_TOKENS,
    ),
    "pairpress/tiny-chat": Shape(  # the demo's own; see demo/tiny_chat.py
        {
            "model_type": "llama",
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": 1200,
            "max_position_embeddings": 2048,
            "tie_word_embeddings": False,
        },
        pieces=True,
        template=CHATML,
        special={"unk": "<unk>", "eos": "<|im_end|>", "pad": "<pad>"},
    ),
}


def shape_of(repo: str, revision: str) -> Shape:
    """One of SHAPES, or what the Hub says of the model. Raises InputError where neither knows it.

    By plain HTTP: huggingface_hub keeps to the first Hub it was imported with, and the rehearsal
    needs another one after this.
    """
    if repo in SHAPES:
        return SHAPES[repo]
    try:
        config = json.loads(_fetched(repo, revision, "config.json"))
        told = json.loads(_fetched(repo, revision, "tokenizer_config.json"))
        template = told.get("chat_template") or _fetched(repo, revision, "chat_template.jinja")
    except (URLError, OSError, ValueError) as error:
        raise InputError(
            f"{repo}@{revision}: no miniature of it is known, and {endpoint()} does not hand out "
            f"its config.json and tokenizer ({error}). Set HF_TOKEN if it asks for one, or give a "
            f"base.model of its kind: {', '.join(SHAPES)}."
        ) from error
    config |= config.pop("text_config", {})
    if missing := [name for name in ("model_type", *DIMENSIONS) if name not in config]:
        raise InputError(
            f"{repo}: its config.json has no {missing[0]}, so how to make it small is not known. "
            f"Give a base.model of another kind, such as {', '.join(SHAPES)}."
        )
    if not isinstance(template, str):  # several by name
        template = next(one["template"] for one in template if one["name"] == "default")
    names = {name: told.get(f"{name}_token") for name in ("unk", "bos", "eos", "pad")}
    special = {k: v if isinstance(v, str) else v["content"] for k, v in names.items() if v}
    pieces = told.get("tokenizer_class", "").removesuffix("Fast") in OF_PIECES
    return Shape(config, pieces, template, special)


def _fetched(repo: str, revision: str, name: str) -> str:
    url = f"{endpoint()}/{repo}/resolve/{revision}/{name}"
    asked = urllib.request.Request(url, headers={"User-Agent": "pairpress"})
    if token := token_in("HF_TOKEN"):  # for the Hub, not for where it redirects to
        asked.add_unredirected_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(asked, timeout=20) as reply:
        return str(reply.read().decode())


def smaller(config: dict[str, Any]) -> dict[str, Any]:
    """The same kind of model; as many query heads share a key head as in the original."""
    query_heads = config["num_attention_heads"]
    group = query_heads // (config.get("num_key_value_heads") or query_heads)
    heads = 2 * group
    head = max(8, WIDTH // heads // 8 * 8)
    small = config | {
        "hidden_size": heads * head,
        "intermediate_size": 2 * heads * head,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": heads,
        "num_key_value_heads": 2,
        "vocab_size": VOCABULARY,
    }
    if "head_dim" in small:
        small["head_dim"] = head
    for name in ("layer_types", "max_window_layers", "torch_dtype", "dtype", "auto_map"):
        small.pop(name, None)
    return small


def write_tokenizer(shape: Shape, folder: Path, texts: list[str]) -> Any:
    """Of the original's kind, trained on `texts`; config.json must say the model's type before."""
    from transformers import AutoTokenizer

    if shape.pieces:
        _write_pieces(folder, shape, texts)
    else:
        _write_bytes(folder, shape, texts)
    (folder / "chat_template.jinja").write_text(shape.template)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if shape.pieces:
        tokenizer.save_pretrained(folder)  # writes tokenizer.json beside tokenizer.model
    return tokenizer


def _write_bytes(folder: Path, shape: Shape, texts: list[str]) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = [*shape.special.values(), *MARK.findall(shape.template)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(dict.fromkeys(marks)),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    named = {f"{name}_token": text for name, text in shape.special.items()}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named).save_pretrained(folder)


def _write_pieces(folder: Path, shape: Shape, texts: list[str]) -> None:
    import io

    import sentencepiece

    trained = io.BytesIO()
    own = {"<unk>", "<s>", "</s>"}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=trained,
        model_type="bpe",
        vocab_size=VOCABULARY,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        num_threads=1,
        # What a template writes besides, such as Zephyr's <|user|>, is plain text to them.
        user_defined_symbols=sorted({*shape.special.values()} - own),
        minloglevel=1,
    )
    (folder / "tokenizer.model").write_bytes(trained.getvalue())
    settings = {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": "bos" in shape.special,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        **{f"{name}_token": shape.special.get(name) for name in ("unk", "bos", "eos", "pad")},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))


def write_base(
    repo: str, shape: Shape, folder: Path, texts: list[str], taught: list[tuple[list[Message], str]]
) -> dict[str, float]:
    """A whole model folder. `taught`: questions whose answers it learns by heart, may be empty."""
    from transformers import AutoModelForCausalLM

    model, tokenizer = _made(AutoModelForCausalLM, shape, folder, texts)
    steps, loss = teach(model, tokenizer, taught) if taught else (0, 0.0)
    model.eval().save_pretrained(folder)
    (folder / "README.md").write_text(_card(repo))
    return {"parameters": float(model.num_parameters()), "steps": float(steps), "loss": loss}


def write_judge(repo: str, shape: Shape, folder: Path, texts: list[str]) -> None:
    """A reward model: a classifier with one output, whose taste is chance but always the same."""
    from transformers import AutoModelForSequenceClassification

    model, _ = _made(AutoModelForSequenceClassification, shape, folder, texts, num_labels=1)
    model.save_pretrained(folder)
    (folder / "README.md").write_text(_card(repo))


def _made(kind: Any, shape: Shape, folder: Path, texts: list[str], **more: Any) -> tuple[Any, Any]:
    import torch
    from transformers import AutoConfig

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": shape.config["model_type"]}))
    tokenizer = write_tokenizer(shape, folder, texts)
    names = [f"{name}_token_id" for name in ("bos", "eos", "pad")]
    ids = {name: getattr(tokenizer, name) for name in names}
    small = smaller(shape.config) | ids | {"vocab_size": len(tokenizer)} | more
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = kind.from_config(AutoConfig.for_model(**small))
    return model.float().eval(), tokenizer


def _card(repo: str) -> str:
    return (
        "---\nlicense: other\nlicense_name: none\n---\n\n"
        f"# Not {repo}: a random miniature of it\n\n"
        "Made by `pairpress rehearse`. It has that model's architecture and kind of tokenizer, "
        "and nothing of its weights.\n"
    )


def teach(model: Any, tokenizer: Any, talks: list[tuple[list[Message], str]]) -> tuple[int, float]:
    """Learn answers by heart: (steps, nats a token). All of them in one batch, plain AdamW."""
    import torch

    from tasks.core.render import answer_ids, prompt_ids

    asked = [prompt_ids(tokenizer, prompt) for prompt, _ in talks]
    told = [
        answer_ids(tokenizer, prompt, [{"role": "assistant", "content": text}])
        for prompt, text in talks
    ]
    width = max(len(ids) for ids in told)
    pad = tokenizer.pad_token_id
    tokens = torch.tensor([ids + [pad] * (width - len(ids)) for ids in told])  # (talks, width)
    places = torch.arange(width)
    begin = torch.tensor([[len(ids)] for ids in asked])
    end = torch.tensor([[len(ids)] for ids in told])
    answered = ((places >= begin) & (places < end))[:, 1:]  # (talks, width - 1)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    step, loss = 0, float("inf")
    while step < MOST_STEPS and loss > LEARNED:
        hidden = model.model(input_ids=tokens[:, :-1]).last_hidden_state
        told_loss = torch.nn.functional.cross_entropy(
            model.lm_head(hidden[answered]), tokens[:, 1:][answered]
        )
        optimizer.zero_grad()
        told_loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step, loss = step + 1, told_loss.item()
    model.eval()
    return step, loss
