"""A base's tokenizer and a published one -> what a user of the published one would see differ.

in   two folders with the files of a tokenizer; generation_config.json and config.json if any
out  sentences, none if they agree: token ids of fixed probes, vocabulary, added and special tokens,
     chat template byte for byte, tokenizer.model by sha256, the tokens that end an answer
     files: https://huggingface.co/docs/transformers/main_classes/tokenizer
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.core.errors import Refused
from tasks.core.stage import file_digest

# Places of a machine, and code to be trusted: transformers itself knows these models.
LOCAL_KEYS = ("_name_or_path", "is_local", "local_files_only", "auto_map")
TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")
LOCAL_PATH = re.compile(r"(?:~|[A-Za-z]:|file:/*)?[/\\][^/\\\s]+[/\\][^\s]*")
TEXT_KEYS = ("chat_template", "content")  # templates and tokens: any path is a text there

PROBES = (
    "Who are you? I'm an assistant; it's 3.14159 o'clock, isn't it?",
    "naïve café, Ångström, straße, Œuvre, ﬁ and e\u0301 beside é",
    "Ωμέγα Привет мир שלום עולם مرحبا بالعالم नमस्ते ไทย 한국어 日本語 你好，世界。",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea "
    "\U0001f44d\U0001f3fd \u2764\ufe0f",
    "  two before, two  within, two after  ",
    "tab\tline\nlines\n\n\nreturn\r\nno-break\u00a0thin\u2009wide\u3000zero\u200bend",
    "",
    " ",
    "\n",
    "0 00 1234567890 1,000,000 -12 0x1F 1e-7",
    "def f(x):\n    return {'a': [x ** 2, not None]}  # https://example.com/?q=1&r=%20",
    "\\(\\frac{1}{2}\\) <b>bold</b> {{ name }} [INST] ### Human: \u2581 Ġ",
    "control \u0000\u0007 private \ue000 beyond \U0001f9ff\U000e0001 replaced \ufffd",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
)


def require_same(base: Path, published: Path, template_changed: bool = False) -> None:
    """Raises Refused with the first difference."""
    found = differences(base, published, template_changed)
    if found:
        more = f" {len(found) - 1} more differences." if len(found) > 1 else ""
        raise Refused(f"tokenizer: {found[0]}{more}")


def differences(base: Path, published: Path, template_changed: bool = False) -> list[str]:
    """A sentence for everything that differs; `template_changed`: the recipe wants another one."""
    unreadable = list(_unreadable(published))
    if unreadable:
        return unreadable
    found = [*_sentencepiece(base, published), *_left_local(published)]
    if not template_changed:
        found += _templates(base, published)
    found += _ends(base, published)
    found += _rules(base, published)
    return found + _as_loaded(base, published)


def _sentencepiece(base: Path, published: Path) -> Iterator[str]:
    one, other = base / "tokenizer.model", published / "tokenizer.model"
    if one.exists() and not other.exists():
        yield "tokenizer.model: the base has one, it is missing."
    elif other.exists() and not one.exists():
        yield "tokenizer.model: the base has none."
    elif one.exists() and (digests := (file_digest(one), file_digest(other)))[0] != digests[1]:
        yield f"tokenizer.model: sha256 is {digests[1]}, the base's is {digests[0]}."


def _unreadable(published: Path) -> Iterator[str]:
    for path in sorted({*published.glob("*config.json"), published / "tokenizer.json"}):
        try:
            if isinstance(_json(path), dict):
                continue
        except ValueError:
            pass
        yield f"{path.name}: is no JSON object, so it cannot be read."


def _left_local(published: Path) -> Iterator[str]:
    """Where somebody loaded it from is of no use to anybody else."""
    for path in sorted(published.glob("*config.json")):
        for key, value in _values(_json(path)):
            if key in LOCAL_KEYS and value not in ("", None):
                yield f"{path.name}: {key} is left in it."
            elif isinstance(value, str) and key not in TEXT_KEYS and LOCAL_PATH.fullmatch(value):
                yield f"{path.name}: {key} names a local path."


def _values(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """(key, value) of every entry at any depth; those of a list go by the list's key."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            if isinstance(value, Mapping):
                yield name, value
            yield from _values(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from _values(value, key)
    else:
        yield key, node


def _templates(base: Path, published: Path) -> Iterator[str]:
    """Every template in every file, since programs differ in which one they read."""
    ours, theirs = _templates_in(base), _templates_in(published)
    used = {name: text for (_, name), text in reversed(ours.items())}
    for name in sorted(used.keys() - {name for _, name in theirs}):
        yield f"chat template {name!r}: the base has it, it is missing."
    for (file, name), text in theirs.items():
        if name not in used:
            yield f"chat template {name!r} in {file}: the base has none."
        elif text not in (used[name], ours.get((file, name))):
            yield f"chat template {name!r} in {file}: {_where_texts_part(used[name], text)}."


def _templates_in(folder: Path) -> dict[tuple[str, str], str]:
    """(file, name) -> template, what transformers prefers first. As bytes say: no newline is
    translated."""
    found = {}
    jinja = folder / "chat_template.jinja"
    if jinja.exists():
        found[jinja.name, "default"] = jinja.read_bytes().decode()
    for path in sorted((folder / "additional_chat_templates").glob("*.jinja")):
        found[path.relative_to(folder).as_posix(), path.stem] = path.read_bytes().decode()
    stored = _json(folder / "tokenizer_config.json").get("chat_template")
    named = [{"name": "default", "template": stored}] if isinstance(stored, str) else stored or []
    for one in named:
        found["tokenizer_config.json", one["name"]] = one["template"]
    return found


def _where_texts_part(one: str, other: str) -> str:
    for number, (a, b) in enumerate(zip(one.split("\n"), other.split("\n"), strict=False), start=1):
        if a != b:
            return f"line {number} is {b[:80]!r}, the base's {a[:80]!r}"
    return f"it has {len(other)} characters, the base's {len(one)}"


def _ends(base: Path, published: Path) -> Iterator[str]:
    """The tokens that begin, end and fill an answer, for the model and for `generate`; an adapter
    has neither file."""
    for name, ids_in in (("generation_config.json", _generated), ("config.json", _configured)):
        if (published / name).exists():
            try:
                theirs = ids_in(published)
            except (OSError, ValueError, KeyError, TypeError) as error:
                yield f"{name}: cannot be loaded ({' '.join(str(error).split())[:200]})."
                continue
            for key, ours in ids_in(base).items():
                if theirs[key] != ours:
                    yield f"{key} of {name}: {theirs[key]}, the base's {ours}."


def _generated(folder: Path) -> dict[str, list[int] | None]:
    from transformers import GenerationConfig

    if (folder / "generation_config.json").exists():
        content = _json(folder / "generation_config.json")
    else:  # made of what config.json says, without the defaults of its class
        content = GenerationConfig.from_model_config(_json(folder / "config.json")).to_dict()
    return {key: _several(content.get(key)) for key in TOKENS}


def _configured(folder: Path) -> dict[str, list[int] | None]:
    """As loaded: what equals the default of its class is not always written down."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False).get_text_config()
    return {key: _several(getattr(config, key, None)) for key in TOKENS}


def _several(ids: Any) -> list[int] | None:
    return sorted(ids) if isinstance(ids, list) else None if ids is None else [ids]


def _rules(base: Path, published: Path) -> Iterator[str]:
    """transformers makes some rules anew from the tokenizer's class, other readers take those in
    tokenizer.json: a truncation that a training left there cuts every text of theirs."""
    ours, theirs = _json(base / "tokenizer.json"), _json(published / "tokenizer.json")
    if ours and theirs:
        for key in sorted(ours.keys() | theirs.keys()):
            one, other = ours.get(key), theirs.get(key)
            if one != other:
                yield f"tokenizer.json: {key} is {_short(other)}, the base's {_short(one)}."


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _as_loaded(base: Path, published: Path) -> list[str]:
    from transformers import AutoTokenizer

    ours = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    try:
        theirs = AutoTokenizer.from_pretrained(published, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"it cannot be loaded ({' '.join(str(error).split())[:200]})."]
    return [
        *_special_tokens(ours, theirs),
        *_added_tokens(ours, theirs),
        *_vocabulary(ours, theirs),
        *_probed(ours, theirs),
    ]


def _special_tokens(ours: Any, theirs: Any) -> Iterator[str]:
    for name in ("eos", "bos", "pad", "unk"):
        one, other = (
            (getattr(each, f"{name}_token"), getattr(each, f"{name}_token_id"))
            for each in (ours, theirs)
        )
        if one != other:
            yield f"{name}_token is {other[0]!r} ({other[1]}), the base's {one[0]!r} ({one[1]})."
    for name in ("padding_side", "truncation_side", "model_max_length"):
        one, other = getattr(ours, name), getattr(theirs, name)
        if one != other:
            yield f"{name} is {other}, the base's {one}."


def _added_tokens(ours: Any, theirs: Any) -> Iterator[str]:
    one, other = ours.added_tokens_decoder, theirs.added_tokens_decoder
    for number in sorted(one.keys() | other.keys()):
        a, b = one.get(number), other.get(number)
        if repr(a) != repr(b):
            yield f"added token {number} is {b!r}, the base's {a!r}."


def _vocabulary(ours: Any, theirs: Any) -> Iterator[str]:
    one, other = ours.get_vocab(), theirs.get_vocab()
    apart = one.items() ^ other.items()
    if apart:
        token = min(token for token, _ in apart)
        yield (
            f"vocabulary: {token!r} has the id {other.get(token)}, in the base {one.get(token)} "
            f"({len({token for token, _ in apart})} tokens differ)."
        )


def _probed(ours: Any, theirs: Any) -> Iterator[str]:
    special = list(ours.get_added_vocab())
    probes = [*PROBES, "".join(special), " a ".join(special)]
    for probe in probes:
        for whole in (False, True):
            one, other = (
                each(probe, add_special_tokens=whole)["input_ids"] for each in (ours, theirs)
            )
            if one != other:
                yield f"{probe[:60]!r} becomes {_head(other)}, in the base {_head(one)}."
                break
            if ours.decode(one) != theirs.decode(one):
                yield (
                    f"{_head(one)} is read as {theirs.decode(one)[:60]!r}, in the base as "
                    f"{ours.decode(one)[:60]!r}."
                )
                break


def _head(ids: list[int]) -> str:
    return f"{ids[:12]}" if len(ids) <= 12 else f"{ids[:12]} and {len(ids) - 12} more"


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return found
