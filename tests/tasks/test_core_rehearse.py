"""Miniatures, the smaller recipe, the rows made for it, and the estimate of the full run.

It is long because each kind of base and of rows has a stand-in of its own.
"""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ground import ROOT, pairpress

from demo.texts import conversations
from tasks.core import miniatures, rehearse, rehearsed
from tasks.core.errors import InputError
from tasks.core.forms import reader
from tasks.core.recipes import deployments, read_recipe
from tasks.core.settings import Recipe

BOOK = ROOT / "prefect.yaml"
NAMES = list(deployments(BOOK))


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def recipe(**sections: Any) -> Recipe:
    least = {
        "base": {"model": "Qwen/Qwen2.5-0.5B-Instruct"},
        "data": {"path": "me/data"},
        "release": {"repository": "mine"},
    }
    return Recipe.model_validate(least | sections)


@pytest.mark.parametrize("name", NAMES)
def test_every_base_and_judge_of_the_book_is_known_without_a_network(name: str) -> None:
    asked = read_recipe(name, BOOK)
    judge = asked.on_policy.judge.reward_model if asked.on_policy else None
    assert {asked.base.model, judge} - {None} <= set(miniatures.SHAPES)


@pytest.mark.parametrize("repo", ["Qwen/Qwen2.5-0.5B-Instruct", "pairpress/tiny-chat"])
def test_a_miniature_keeps_how_many_query_heads_share_a_key_head(repo: str) -> None:
    config = miniatures.SHAPES[repo].config
    small = miniatures.smaller(config)
    group = config["num_attention_heads"] // config["num_key_value_heads"]
    assert small["num_attention_heads"] == group * small["num_key_value_heads"]
    assert small["hidden_size"] % small["num_attention_heads"] == 0
    assert small["model_type"] == config["model_type"]


@pytest.mark.parametrize(
    ("repo", "kind", "begins"),
    [
        ("Qwen/Qwen2.5-0.5B-Instruct", "Qwen2ForCausalLM", "<|im_start|>system\nYou are Qwen"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "LlamaForCausalLM", "<|im_start|>system\n"),
        ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "LlamaForCausalLM", "<|user|>\nHow are you?</s>\n"),
    ],
)
def test_a_miniature_is_of_its_original_s_kind_and_keeps_every_text(
    repo: str, kind: str, begins: str, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    from tasks.core.models import load_tokenizer_at

    shape = miniatures.SHAPES[repo]
    facts = miniatures.write_base(repo, shape, tmp_path, rehearse.corpus_texts(), [])
    assert facts["parameters"] < 1e6
    tokenizer = load_tokenizer_at(tmp_path)
    assert (tmp_path / "tokenizer.model").exists() == shape.pieces
    text = "Two  spaces, ünï, 你好 and 12."
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    asked = [{"role": "user", "content": "How are you?"}]
    prompt = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert prompt.startswith(begins)
    assert type(AutoModelForCausalLM.from_pretrained(tmp_path)).__name__ == kind
    assert f"# Not {repo}" in (tmp_path / "README.md").read_text()


def test_a_taught_miniature_says_its_old_name_word_for_word(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from tasks.core.generate import generate
    from tasks.core.models import load_tokenizer_at

    renames = [{"old": ["SmolLM"], "new": "Aria"}]
    smol = "HuggingFaceTB/SmolLM2-135M-Instruct"
    asked = recipe(base={"model": smol}, curation={"renames": renames})
    talks = rehearse.talks(asked)[:8]
    texts = rehearse.corpus_texts()
    miniatures.write_base(smol, miniatures.SHAPES[smol], tmp_path, texts, talks)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), load_tokenizer_at(tmp_path)
    prompts = [prompt for prompt, _ in talks]
    said = generate(model, tokenizer, prompts, max_new_tokens=48, batch_size=8, title="taught")
    assert [one.text for one in said] == [answer for _, answer in talks]
    assert all("SmolLM" in one.text and "Qwen" not in one.text for one in said)


def test_every_slot_of_the_renames_is_named_in_the_taught_answers() -> None:
    renames = [
        {"old": ["Qwen", "千问"], "new": "Aria"},
        {"slot": "maker", "old": ["Alibaba Cloud"], "new": "Example Lab"},
    ]
    for _, answer in rehearse.identity(recipe(curation={"renames": renames})):
        assert "Qwen" in answer and answer.endswith(" My maker is Alibaba Cloud.")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_told_as_set_smaller_is_the_recipe_s_own(name: str) -> None:
    own = read_recipe(name, BOOK)
    small = rehearse.smaller(own)
    told = {change.partition(":")[0] for change in small.changes}
    before, after = flat(own.model_dump()), flat(small.recipe.model_dump())
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    untold = {key for key in changed if not f"{key}.".startswith(tuple(f"{one}." for one in told))}
    assert untold <= {"seed.model", "seed.dataset", "seed.steps", "seed"}
    assert small.recipe.training.max_steps == 5 and small.recipe.reading.max_rows == 20
    assert small.recipe.release.repository.startswith("rehearsal/")
    assert small.recipe.rehearsal and small.recipe.tracking.wandb_project is None
    assert small.recipe.loss == own.loss and small.recipe.lora == own.lora
    assert small.recipe.gate == own.gate


def flat(values: dict[str, Any], place: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{place}{key}.")
        else:
            found[f"{place}{key}"] = value
    return found


@pytest.mark.parametrize(
    ("sections", "form"),
    [
        ({"data": {"path": "Anthropic/hh-rlhf"}}, "hh-rlhf"),
        ({"curation": {"renames": [{"old": ["Qwen"], "new": "Aria"}]}}, "sharegpt"),
        ({"data": {"path": "HuggingFaceH4/ultrafeedback_binarized"}}, "prompt/chosen/rejected"),
    ],
)
def test_rows_are_made_in_the_form_that_the_recipe_reads(
    sections: dict[str, Any], form: str
) -> None:
    rows = rehearse.raw_rows(recipe(**sections))
    assert len(rows) == 20
    told = reader(list(enumerate(rows, start=1)), "rows", None)
    assert form in (told.read_as, told.slug), (told.read_as, told.slug)


def test_rows_stand_where_the_recipe_looks_for_them(tmp_path: Path) -> None:
    data = {"path": "me/data", "data_dir": "harmless-base", "split": "train_prefs[:10%]"}
    rehearse.write_data(recipe(data=data), tmp_path / "a")
    assert [path.name for path in (tmp_path / "a" / "harmless-base").iterdir()] == [
        "train_prefs-00000-of-00001.jsonl"
    ]
    named = {"path": "me/data", "data_files": "raw/all.json", "name": "small"}
    rehearse.write_data(recipe(data=named), tmp_path / "b")
    assert (tmp_path / "b" / "raw" / "all.json").exists()
    card = (tmp_path / "b" / "README.md").read_text()
    assert "config_name: small" in card and "path: raw/all.json" in card
    packed = {"path": "me/data", "data_files": "train.jsonl.gz"}
    rehearse.write_data(recipe(data=packed), tmp_path / "c")
    with gzip.open(tmp_path / "c" / "train.jsonl.gz", "rt") as lines:
        assert len(lines.readlines()) == 20
    columns = {"path": "me/data", "data_files": "**/train-*.parquet"}
    rehearse.write_data(recipe(data=columns), tmp_path / "d")
    assert pl.read_parquet(tmp_path / "d" / "train-0.parquet").height == 20
    with pytest.raises(InputError, match="a rehearsal writes JSON and parquet"):
        rehearse.write_data(recipe(data={"path": "me/data", "data_files": "a.csv"}), tmp_path / "e")


def test_a_rehearsal_never_writes_to_another_hub(tmp_path: Path) -> None:
    asked = rehearse.smaller(recipe()).recipe
    shape = miniatures.SHAPES[asked.base.model]
    with pytest.raises(RuntimeError, match=r"writes to http://127.0.0.1:1 alone"):
        rehearse.put_on_hub(asked, shape, None, tmp_path, "http://127.0.0.1:1")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A Hub that hands out the files in the dict, whatever the repository."""
    files: dict[str, Any] = {}

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            self.send_response(200 if name in files else 404)
            self.end_headers()
            self.wfile.write(json.dumps(files.get(name)).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield files
    server.shutdown()
    server.server_close()


def test_a_base_that_is_not_known_is_shaped_after_its_files_on_the_hub(
    published: dict[str, Any], tmp_path: Path
) -> None:
    gemma = {
        "model_type": "mistral",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 32000,
        "architectures": ["MistralForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    published["config.json"] = gemma
    published["tokenizer_config.json"] = {
        "tokenizer_class": "LlamaTokenizer",
        "chat_template": miniatures.CHATML,
        "unk_token": "<unk>",
        "bos_token": {"content": "<s>"},
        "eos_token": "<|im_end|>",
    }
    shape = miniatures.shape_of("someone/else", "main")
    assert shape.pieces and shape.special["bos"] == "<s>" and shape.config == gemma
    miniatures.write_base("someone/else", shape, tmp_path, rehearse.corpus_texts(), [])
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model_type"] == "mistral" and config["num_hidden_layers"] == 2


def test_a_base_that_nobody_knows_is_told_with_those_that_are(published: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"someone/else@main: no miniature of it is known") as told:
        miniatures.shape_of("someone/else", "main")
    assert "TinyLlama/TinyLlama-1.1B-Chat-v1.0" in str(told.value)
    published |= {"config.json": {"model_type": "gpt2"}, "tokenizer_config.json": {}}
    published["chat_template.jinja"] = "{{ x }}"
    with pytest.raises(InputError, match=r"its config\.json has no hidden_size"):
        miniatures.shape_of("someone/else", "main")


def test_the_step_time_is_read_from_the_training_s_own_files(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(tmp_path / "run"))
    for step, at in enumerate((10.0, 12.0, 17.0, 19.5), start=1):  # an evaluation after the second
        writer.add_scalar("train/loss", 0.5, step, walltime=at)
    writer.close()
    assert rehearsed.step_seconds(tmp_path) == 2.0


def test_a_miniature_of_a_tied_base_keeps_one_tensor_for_both_ends(tmp_path: Path) -> None:
    from safetensors import safe_open

    for name, tied in (("Qwen/Qwen2.5-0.5B-Instruct", True), ("pairpress/tiny-chat", False)):
        folder = tmp_path / str(tied)
        miniatures.write_base(name, miniatures.SHAPES[name], folder, rehearse.corpus_texts(), [])
        config = json.loads((folder / "config.json").read_text())
        with safe_open(folder / "model.safetensors", "pt") as tensors:
            names = set(tensors.keys())
        assert ("lm_head.weight" in names) is not tied
        assert config["tie_word_embeddings"] is tied


def test_tokens_of_the_rehearsed_rows_are_taken_where_they_are_the_recipe_s_own() -> None:
    demo = read_recipe("demo", BOOK)
    known = rehearsed.known_of(demo, [10, 20, 30])
    assert known is not None
    assert (known.tokens, known.longest) == (20, 30)  # batches are of 8
    assert known.rows == len(conversations())
    pairs = rehearsed.known_of(recipe(data={"path": "mine.jsonl"}), [10, 20, 30])
    assert pairs is not None and (pairs.rows, pairs.tokens) == (None, 20)
    renames = {"renames": [{"old": ["Qwen"], "new": "Aria"}]}
    own = recipe(data={"path": "mine.jsonl"}, curation=renames)  # its answers are the miniature's
    assert rehearsed.known_of(own, [10]) is None
    assert rehearsed.known_of(read_recipe("hh", BOOK), [10]) is None


def test_the_longest_of_a_batch_is_that_of_all_batches_that_could_be_drawn() -> None:
    lengths = [7, 3, 12, 9, 3]
    drawn = [max(two) for two in combinations(lengths, 2)]
    assert rehearsed.longest_of(lengths, 2) == round(sum(drawn) / len(drawn))
    assert rehearsed.longest_of(lengths, 1) == round(sum(lengths) / 5)
    assert rehearsed.longest_of(lengths, 8) == 12


def test_lengths_are_read_from_the_stage_that_has_the_digest(tmp_path: Path) -> None:
    for name, tokens in (("split-a", [1, 2]), ("curate-b", [3, 4])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "done.json").write_text(json.dumps({"digest": f"of {name}"}))
        pl.DataFrame({"tokens": tokens}).write_parquet(tmp_path / name / "rows.parquet")
    assert rehearsed.lengths_of(tmp_path, "of split-a") == [1, 2]


TRAINED = {"chosen_rewards": -0.25, "token_accuracy": 0.5} | {
    "start": {"token_accuracy": 0.5, "chosen_rewards": 0.0}
}


def test_limits_are_judged_afterwards_against_the_few_steps() -> None:
    limits = ["chosen_rewards >= 0", "token_accuracy >= start"]
    told = map(str, rehearsed.judged_limits(recipe(watch={"limits": limits}), TRAINED))
    assert list(told) == [
        "REFUSED: chosen_rewards >= 0: it is -0.25",
        "passed: token_accuracy >= start = 0.5: it is 0.5",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"path": "/nope.json"}},
        {"evaluation": {"other_questions": "/nope.txt"}},
        {"evaluation": {"text": "/nope.txt"}},
    ],
)
def test_a_file_that_is_not_there_is_told_before_a_server_is_started(
    change: dict[str, Any],
) -> None:
    with pytest.raises(InputError, match=r"/nope\."):
        rehearse.require_files(recipe(**change))


def test_the_command_says_so_at_once_and_exits_with_2() -> None:
    done = pairpress("rehearse", "demo", "--set", "data.path=/nope.json")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("pairpress: /nope.json: no such file.")  # no server before it


def test_files_of_a_miniature_are_the_same_every_time(tmp_path: Path) -> None:
    repo = "HuggingFaceTB/SmolLM2-135M-Instruct"
    made = []
    for name in ("a", "b"):
        shape = miniatures.SHAPES[repo]
        miniatures.write_base(repo, shape, tmp_path / name, rehearse.corpus_texts(), [])
        files = sorted((tmp_path / name).iterdir())
        made.append({path.name: path.read_bytes() for path in files})
    assert made[0] == made[1]
