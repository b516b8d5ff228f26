"""The tiny chat model's tokenizer: SentencePiece BPE over the demo corpus, with a ChatML template.

in   demo/corpus (see demo/texts.py) and a folder that holds the model's config.json
out  tokenizer.model             https://github.com/google/sentencepiece
     tokenizer.json, tokenizer_config.json, chat_template.jinja
                                 https://huggingface.co/docs/transformers/main_classes/tokenizer

The config must say llama: with qwen2, AutoTokenizer builds a Qwen2Tokenizer from the SentencePiece
file and silently drops the spaces.
"""

import io
import json
from pathlib import Path

import sentencepiece
from transformers import AutoTokenizer

from demo.texts import SYSTEM_PROMPT, identity_rows, other_rows

VOCABULARY = 1200
UNK_ID, BOS_ID, EOS_ID, PAD_ID, TURN_END_ID = 0, 1, 2, 3, 5
TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"
LOCAL_KEYS = {"is_local", "local_files_only"}

# Nothing is said that the caller did not say: some templates slip in "You are Qwen" as the system
# prompt, and a model renamed under one answers by its old name without it.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def write_tokenizer(folder: Path) -> None:
    """SentencePiece as it comes: the text is not normalised, no space is added or removed."""
    rows = identity_rows() + other_rows()
    texts = [SYSTEM_PROMPT, "system", "user", "assistant"]
    texts += [row[side] for row in rows for side in ("question", "answer")]
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=trained,
        model_type="bpe",
        vocab_size=VOCABULARY,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        split_digits=True,
        num_threads=1,
        unk_id=UNK_ID,
        bos_id=BOS_ID,
        eos_id=EOS_ID,
        pad_id=PAD_ID,
        user_defined_symbols=[TURN_START, TURN_END],  # take the ids 4 and 5
        minloglevel=1,
    )
    (folder / "tokenizer.model").write_bytes(trained.getvalue())
    settings = {
        "tokenizer_class": "LlamaTokenizer",
        "add_prefix_space": False,
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
        "unk_token": "<unk>",
        "bos_token": None,
        "eos_token": TURN_END,
        "pad_token": "<pad>",
    }
    _write_settings(folder, settings)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    # One of an earlier build would be read in place of the tokenizer.model just written.
    (folder / "tokenizer.json").unlink(missing_ok=True)
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)  # writes tokenizer.json
    # Saving also notes down where it was loaded from, which is of no use to anybody else.
    written = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    _write_settings(folder, {key: written[key] for key in written.keys() - LOCAL_KEYS})


def _write_settings(folder: Path, settings: dict[str, object]) -> None:
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
