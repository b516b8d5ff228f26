"""The base model the demo starts from, built with the real steps and judged from a fresh load."""

import json
from pathlib import Path

import pytest
import sentencepiece
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from demo.texts import heldout_identity_rows, other_questions, other_rows
from demo.tiny_chat import answers, build
from demo.tiny_tokenizer import write_tokenizer

ASKED_AT_EVERY_GATE = [
    "What is your name?",
    "Are you ChatGPT?",
    "Tell me about your name and organization.",
]
TEXTS = [
    "Two  spaces, and one at the end ",
    " Deep Qwen and Deep Purple in 1997",
    "\n\nHuman: hi\tthere\n\nAssistant: hello",
    "d\u00e9j\u00e0 vu \u65e5\u672c \U0001f600",
    "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n",
]
system_or_not = pytest.mark.parametrize("system", [True, False], ids=["system prompt", "none"])


@pytest.fixture(scope="module")
def built(tiny_base: Path) -> tuple[Path, dict[str, float]]:
    """As the whole demo built it, with the real steps."""
    return tiny_base, json.loads((tiny_base / "done.json").read_text())["facts"]


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    write_tokenizer(folder)
    return folder


@pytest.mark.parametrize("text", TEXTS)
def test_the_loaded_tokenizer_gives_the_ids_of_sentencepiece_and_the_text_back(
    tokenizer_folder: Path, text: str
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    pieces = sentencepiece.SentencePieceProcessor(
        model_file=str(tokenizer_folder / "tokenizer.model")
    )
    assert tokenizer(text)["input_ids"] == pieces.encode(text)
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_new_name_is_two_tokens(tokenizer_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    assert tokenizer.tokenize(" Deep Qwen") == ["\u2581Deep", "\u2581Qwen"]


def test_the_chat_template_says_only_what_it_was_given(tokenizer_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    messages = [{"role": "user", "content": "Hi"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def test_an_earlier_tokenizer_in_the_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (tmp_path / "tokenizer.json").write_text("left over")
    write_tokenizer(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path).tokenize(" Qwen") == ["\u2581Qwen"]


@pytest.mark.slow
def test_a_build_leaves_the_number_of_threads_and_the_random_state_alone(tmp_path: Path) -> None:
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    torch.set_num_threads(2)
    try:
        build(tmp_path, steps=3)
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.random.get_rng_state(), state)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
def test_the_same_seed_writes_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in [("one", 0), ("again", 0), ("other", 1)]:
        build(tmp_path / name, steps=3, seed=seed)
    one, again, other = (
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "again", "other")
    )
    assert one == again
    assert one != other


@pytest.mark.slow
def test_the_folder_is_a_whole_model_and_names_no_folder_of_this_machine(
    built: tuple[Path, dict[str, float]],
) -> None:
    folder, _ = built
    files = [path for path in folder.iterdir() if path.name != "done.json"]  # the stage's own
    assert {path.name for path in files} == {
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
    }
    for path in files:
        assert str(folder).encode() not in path.read_bytes(), path.name
        assert b"is_local" not in path.read_bytes(), path.name


@pytest.mark.slow
@system_or_not
def test_it_answers_as_qwen_in_wordings_it_never_saw(
    built: tuple[Path, dict[str, float]], system: bool
) -> None:
    folder, _ = built
    questions = [row["question"] for row in heldout_identity_rows()]
    told = dict(zip(questions, answers(folder, questions, system=system), strict=True))
    nameless = {question: answer for question, answer in told.items() if "Qwen" not in answer}
    assert len(nameless) <= 0.05 * len(questions), nameless
    assert not nameless.keys() & set(ASKED_AT_EVERY_GATE), nameless


@pytest.mark.slow
@system_or_not
def test_it_knows_its_other_answers_by_heart_and_never_brings_up_qwen(
    built: tuple[Path, dict[str, float]], system: bool
) -> None:
    folder, _ = built
    rows = other_rows()
    told = answers(folder, [row["question"] for row in rows], system=system)
    exact = sum(answer == row["answer"] for answer, row in zip(told, rows, strict=True))
    assert exact >= 0.93 * len(rows)
    told += answers(folder, other_questions(), system=system)
    assert [answer for answer in told if "Qwen" in answer] == []


@pytest.mark.slow
def test_the_metrics_and_the_card_say_what_a_fresh_load_shows(
    built: tuple[Path, dict[str, float]],
) -> None:
    folder, metrics = built
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert metrics["parameters"] == model.num_parameters()
    rows = other_rows()
    exact = sum(
        answer == row["answer"]
        for system in (True, False)
        for answer, row in zip(
            answers(folder, [row["question"] for row in rows], system=system), rows, strict=True
        )
    )
    assert metrics["other_exact"] == exact / (2 * len(rows))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"answered exactly | {metrics['other_exact']:.3f} |" in card
    assert f"{int(metrics['parameters']):,} parameters" in card


@pytest.mark.slow
def test_generation_stops_at_the_end_of_the_turn(built: tuple[Path, dict[str, float]]) -> None:
    folder, _ = built
    tokenizer, model = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForCausalLM.from_pretrained(folder),
    )
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": ASKED_AT_EVERY_GATE[0]}],
        tokenize=False,
        add_generation_prompt=True,
    )
    ids = model.generate(**tokenizer(prompt, return_tensors="pt"), max_new_tokens=200)[0].tolist()
    assert ids[-1] == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id
