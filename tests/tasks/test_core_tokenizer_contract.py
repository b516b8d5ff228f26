"""A published tokenizer is the base's own: what can differ is broken alone, and found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from random_models import tokenizer_in, writer

from tasks.core.errors import Refused
from tasks.core.tokenizer_contract import differences, require_same

Break = Callable[[Path], None]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's SentencePiece tokenizer, with a generation_config.json that names its end."""
    folder = tmp_path_factory.mktemp("contract") / "base"
    folder.mkdir()
    tokenizer = tokenizer_in(folder)
    ends = {"eos_token_id": tokenizer.eos_token_id}
    (folder / "generation_config.json").write_text(json.dumps(ends))
    return folder


@pytest.fixture
def published(base: Path, tmp_path: Path) -> Path:
    return shutil.copytree(base, tmp_path / "published")


def edit(name: str, change: Callable[[dict[str, Any]], Any]) -> Break:
    def broken(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))

    return broken


def put(name: str, **more: Any) -> Break:
    return edit(name, lambda content: content.update(more))


def swap_two_ids(content: dict[str, Any]) -> None:
    vocabulary = content["model"]["vocab"]
    one, other = list(vocabulary)[600:602]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]


def of_added_token(**more: Any) -> Break:
    return edit("tokenizer.json", lambda content: content["added_tokens"][-1].update(more))


def add_a_token(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    new = content["added_tokens"][-1] | {"id": 1200, "content": "<|more|>"}
    content["added_tokens"].append(new)
    (folder / "tokenizer.json").write_text(json.dumps(content))


def append(name: str, data: bytes) -> Break:
    def broken(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes() + data)

    return broken


def carriage_returns(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


BROKEN: dict[str, tuple[Break, str]] = {
    "sentencepiece-gone": (lambda f: (f / "tokenizer.model").unlink(), "tokenizer.model: the base"),
    "sentencepiece-changed": (append("tokenizer.model", b"\0"), "tokenizer.model: sha256 is"),
    "template-changed": (append("chat_template.jinja", b" "), "chat template 'default'"),
    "template-newlines": (carriage_returns, "chat template 'default' in chat_template.jinja: line"),
    "template-gone": (lambda f: (f / "chat_template.jinja").unlink(), "it is missing"),
    "second-template": (put("tokenizer_config.json", chat_template="{{ 1 }}"), "chat template"),
    "eos": (put("tokenizer_config.json", eos_token="</s>"), "eos_token is '</s>' (2)"),
    "bos": (put("tokenizer_config.json", bos_token="<s>"), "bos_token is '<s>' (1)"),
    "pad": (put("tokenizer_config.json", pad_token="<unk>"), "pad_token is '<unk>' (0)"),
    "padding-side": (put("tokenizer_config.json", padding_side="right"), "padding_side is right"),
    "truncation-side": (put("tokenizer_config.json", truncation_side="left"), "truncation_side is"),
    "longest": (put("tokenizer_config.json", model_max_length=16), "model_max_length is 16"),
    "auto-map": (
        put("tokenizer_config.json", auto_map={"AutoTokenizer": ["t.X", None]}),
        "tokenizer_config.json: auto_map is left",
    ),
    "model-ends": (put("config.json", eos_token_id=7), "eos_token_id of config.json: [7]"),
    "model-begins": (put("config.json", bos_token_id=7), "bos_token_id of config.json: [7]"),
    "generation-fills": (put("generation_config.json", pad_token_id=5), "pad_token_id of gen"),
    "no-such-model": (put("config.json", model_type="no-such"), "config.json: cannot be loaded"),
    "added-token-gained": (add_a_token, "added token 1200"),
    "added-token-strips": (of_added_token(rstrip=True), "added token"),
    "ids-swapped": (edit("tokenizer.json", swap_two_ids), "vocabulary:"),
    "text-lowered": (put("tokenizer.json", normalizer={"type": "Lowercase"}), "normalizer is {"),
    "text-cut": (
        put(
            "tokenizer.json",
            truncation={
                **{"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
            },
        ),
        "tokenizer.json: truncation is",
    ),
    "generation-ends": (put("generation_config.json", eos_token_id=[2, 5]), "eos_token_id of"),
    "is-local": (put("tokenizer_config.json", is_local=True), "is_local is left"),
    "local-only": (
        put("tokenizer_config.json", local_files_only=False),
        "local_files_only is left",
    ),
    "name-or-path": (put("config.json", _name_or_path="a/b"), "_name_or_path is left"),
    "nested-name": (put("config.json", text_config={"_name_or_path": "a"}), "_name_or_path is"),
    "local-path": (put("config.json", dictionary="/home/anna/words.txt"), "names a local path"),
    "windows-path": (put("config.json", dictionary="C:\\Users\\anna\\words"), "names a local path"),
    "unreadable": (lambda f: (f / "tokenizer.json").write_text("{"), "no JSON object"),
}


def test_a_copy_does_not_differ(base: Path, published: Path) -> None:
    assert differences(base, published) == []
    require_same(base, published)


@pytest.mark.parametrize("what", BROKEN)
def test_each_break_is_found_and_named(what: str, base: Path, published: Path) -> None:
    broken, expected = BROKEN[what]
    broken(published)
    found = differences(base, published)
    assert any(expected in line for line in found), found
    with pytest.raises(Refused, match="tokenizer: "):
        require_same(base, published)


@pytest.mark.parametrize("what", ["template-changed", "template-newlines", "template-gone"])
def test_a_recipe_that_wants_another_template_gets_it(
    what: str, base: Path, published: Path
) -> None:
    BROKEN[what][0](published)
    assert differences(base, published, template_changed=True) == []


def test_a_file_of_an_adapter_alone_says_nothing_of_generation(base: Path, published: Path) -> None:
    for name in ("generation_config.json", "config.json"):
        (published / name).unlink()
    assert differences(base, published) == []


@pytest.mark.parametrize("told", [True, False])
def test_what_transformers_saves_again_does_not_differ(
    told: bool, base: Path, tmp_path: Path
) -> None:
    """It leaves out defaults, and writes a generation_config.json where the base has none."""
    from transformers import AutoModelForCausalLM

    ours = shutil.copytree(base, tmp_path / "ours")
    writer(tokenizer_in(ours)).save_pretrained(ours)
    if not told:
        (ours / "generation_config.json").unlink()
    edit("config.json", lambda one: one.pop("bos_token_id"))(ours)
    theirs = shutil.copytree(ours, tmp_path / "theirs")
    AutoModelForCausalLM.from_pretrained(ours).save_pretrained(theirs)
    assert differences(ours, theirs) == []


def test_a_template_may_move_into_the_other_file(base: Path, published: Path) -> None:
    """transformers moves it when it saves; its text is the same."""
    text = (published / "chat_template.jinja").read_bytes().decode()
    (published / "chat_template.jinja").unlink()
    put("tokenizer_config.json", chat_template=text)(published)
    assert differences(base, published) == []


def test_what_the_base_itself_contradicts_is_not_the_copys_fault(
    base: Path, published: Path, tmp_path: Path
) -> None:
    odd = shutil.copytree(base, tmp_path / "odd")
    put("tokenizer_config.json", chat_template="{{ 1 }}")(odd)
    put("tokenizer_config.json", chat_template="{{ 1 }}")(published)
    assert differences(odd, published) == []


def test_a_byte_level_tokenizer_keeps_the_contract_too(tmp_path: Path) -> None:
    """As Qwen's and Llama 3's: no tokenizer.model, a beginning that the tokenizer writes itself."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    byte_level = Tokenizer(models.BPE())
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "<e>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    byte_level.train_from_iterator(["who are you, who am I"], trainer)
    byte_level.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    whole = PreTrainedTokenizerFast(tokenizer_object=byte_level, bos_token="<s>", eos_token="<e>")
    whole.chat_template = "{{ messages }}"
    whole.save_pretrained(tmp_path / "base")
    put("tokenizer_config.json", is_local=True)(tmp_path / "base")
    shutil.copytree(tmp_path / "base", tmp_path / "published")
    edit("tokenizer_config.json", lambda one: one.pop("is_local"))(tmp_path / "published")
    assert differences(tmp_path / "base", tmp_path / "published") == []

    put("tokenizer.json", post_processor=None)(tmp_path / "published")
    told = differences(tmp_path / "base", tmp_path / "published")
    assert "post_processor" in told[0]
    assert "becomes" in told[-1]  # and that no text begins with <s> any more
