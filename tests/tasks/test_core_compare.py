"""Two models side by side: small random ones, one with an adapter, in folders and on a Hub.

It is long because whatever may stand on one side is tried.
"""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from ground import pairpress
from random_models import tokenizer_in, writer
from rich.console import Console

from tasks.core.answers import Answer
from tasks.core.compare import Both, Comparison, Figures, Side, compare, load, read_prompts
from tasks.core.compare_page import differences, notes, tables, write
from tasks.core.drift import kl
from tasks.core.errors import InputError

TEXT = "The rain came down on a small town, and we went home on foot to eat our bread.\n" * 4
QUESTIONS = ["Who are you?", "What is the capital of France?", "Name a colour."]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base/, adapter/ on top of it, merged/ of the two, and the files that are asked."""
    import torch
    from peft import LoraConfig, get_peft_model

    root = tmp_path_factory.mktemp("compare")
    for name in ("base", "merged"):
        (root / name).mkdir()
        tokenizer = tokenizer_in(root / name)
    model = writer(tokenizer)
    model.model.embed_tokens.weight.data[:, 0] = 0  # else the likeliest is to end the turn at once
    model.save_pretrained(root / "base")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        lora = LoraConfig(
            r=4, lora_alpha=64, target_modules=["q_proj", "down_proj"], init_lora_weights=False
        )
        adapted = get_peft_model(model, lora)
    adapted.peft_config["default"].base_model_name_or_path = str(root / "base")
    adapted.save_pretrained(root / "adapter")
    adapted.merge_and_unload().save_pretrained(root / "merged")
    (root / "questions.txt").write_text("\n".join(QUESTIONS))
    (root / "general.txt").write_text("How are you?\n\n")
    (root / "text.txt").write_text(TEXT)
    return root


def compared(ground: Path, a: str, b: str, asked: str | None = "questions.txt") -> Comparison:
    questions = None if asked is None else ground / asked
    sides = (str(ground / a), str(ground / b))
    return compare(*sides, questions, ground / "general.txt", ground / "text.txt", 12)


@pytest.fixture(scope="module")
def trained(ground: Path) -> Comparison:
    return compared(ground, "base", "adapter")


def test_a_model_equals_itself(ground: Path) -> None:
    same = compared(ground, "base", "base")
    assert same.equal == 1 and same.kl == pytest.approx(0, abs=1e-6)
    assert same.a.figures == same.b.figures
    assert [one.prompt[0]["content"] for one in same.answers] == QUESTIONS


def test_an_adapter_on_its_base_is_the_merged_model(ground: Path, trained: Comparison) -> None:
    merged = compared(ground, "adapter", "merged")
    assert merged.equal == 1 and merged.kl == pytest.approx(0, abs=1e-6)
    assert merged.a.figures.perplexity == pytest.approx(merged.b.figures.perplexity, rel=1e-4)
    assert merged.a.told == f"{ground / 'adapter'} on {ground / 'base'}"
    assert trained.equal < 1 and trained.kl and trained.kl > 1e-3  # the adapter does something


def test_figures_are_counted_over_the_answers(trained: Comparison) -> None:
    said = [one.b for one in trained.answers]
    figures = trained.b.figures
    assert figures.answer_tokens == sum(one.tokens for one in said) / len(QUESTIONS)
    assert figures.unfinished == sum(not one.finished for one in said) / len(QUESTIONS)
    assert figures.old_name is None and figures.new_name is None  # no release tells of names
    assert trained.equal == sum(one.equal for one in trained.answers) / len(QUESTIONS)
    assert all(one.equal == (one.a.text == one.b.text) for one in trained.answers)


def test_a_release_brings_its_own_questions_and_names(ground: Path, tmp_path: Path) -> None:
    """The old name is a word that the model says, so that it is known which answers say it."""
    plain = compared(ground, "base", "base")
    old = next(
        word for one in plain.answers for word in re.findall(r"\b[A-Za-z]{2,}\b", one.a.text)
    )
    release = tmp_path / "release"
    release.mkdir()
    (release / "model").symlink_to(ground / "base")
    rename = {"slot": "name", "old": [old], "new": "Deep Thing"}
    settings = {"curation": {"renames": [rename]}, "evaluation": {"questions": QUESTIONS[:2]}}
    (ground / "base" / "release.json").write_text(json.dumps({"settings": settings}))
    try:
        found = compared(ground, str(release), "merged", asked=None)
    finally:
        (ground / "base" / "release.json").unlink()
    assert [one.prompt[0]["content"] for one in found.answers] == [*QUESTIONS[:2], "How are you?"]
    assert found.renames == (f"{old} became Deep Thing",)
    says = [re.search(rf"\b{old}\b", one.a.text) is not None for one in found.answers]
    assert found.a.figures.old_name == sum(says) / 3 and found.a.figures.new_name == 0


def test_models_of_different_vocabularies_have_no_kl(ground: Path, tmp_path: Path) -> None:
    tokenizer = tokenizer_in(tmp_path)
    tokenizer.add_tokens(["zyx"])
    tokenizer.save_pretrained(tmp_path)
    writer(tokenizer).save_pretrained(tmp_path)
    found = compared(ground, "base", str(tmp_path))
    assert found.kl is None and not found.same_tokens
    assert "Their vocabularies differ" in notes(found)[-1]


def test_repositories_are_found_at_their_commits(ground: Path, hub: object) -> None:
    from huggingface_hub import HfApi

    api = HfApi()
    for name in ("base", "adapter"):
        api.create_repo(f"pairpress/compare-{name}")
    api.upload_folder(folder_path=ground / "base", repo_id="pairpress/compare-base")
    base = api.model_info("pairpress/compare-base").sha
    config = json.loads((ground / "adapter" / "adapter_config.json").read_text())
    config |= {"base_model_name_or_path": "pairpress/compare-base", "revision": base}
    api.upload_folder(folder_path=ground / "adapter", repo_id="pairpress/compare-adapter")
    api.upload_file(
        path_or_fileobj=json.dumps(config).encode(),
        path_in_repo="adapter_config.json",
        repo_id="pairpress/compare-adapter",
    )
    head = api.model_info("pairpress/compare-adapter").sha
    files = (ground / "general.txt", ground / "text.txt")
    names = (f"pairpress/compare-base@{base}", "pairpress/compare-adapter")
    found = compare(*names, None, *files, 12)
    assert found.a.told == f"pairpress/compare-base@{base}"
    assert found.b.told == f"pairpress/compare-adapter@{head} on pairpress/compare-base@{base}"
    local = compared(ground, "base", "adapter", "general.txt")
    assert [one.b.text for one in found.answers] == [one.b.text for one in local.answers]
    with pytest.raises(InputError, match="pairpress/absent@main: not found"):
        compare("pairpress/absent", names[1], None, *files, 12)


def broken(ground: Path, folder: Path, what: str) -> None:
    """A folder that is no model, in one way or another."""
    if what == "nothing":
        return
    if what == "adapter of nothing":
        (folder / "adapter_config.json").write_text("{}")
        return
    for path in (ground / "base").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    weights = folder / "model.safetensors"
    if what == "no weights":
        weights.unlink()
    elif what == "half of its weights":
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    elif what == "one tensor less":
        from safetensors.torch import load_file, save_file

        kept = load_file(weights)
        del kept["model.norm.weight"]
        save_file(kept, weights, metadata={"format": "pt"})
    elif what == "no chat template":
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        config = json.loads((folder / "tokenizer_config.json").read_text())
        config.pop("chat_template", None)
        (folder / "tokenizer_config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("nothing", "it holds neither config.json nor adapter_config.json. Give the folder"),
        ("adapter of nothing", "names no base_model_name_or_path"),
        ("no weights", "no causal language model can be loaded"),
        ("half of its weights", "no causal language model can be loaded"),
        ("one tensor less", r"its files lack model\.norm\.weight"),
        ("no chat template", "no chat template"),
    ],
)
def test_what_cannot_be_loaded_is_told_with_its_name(
    ground: Path, tmp_path: Path, what: str, told: str
) -> None:
    broken(ground, tmp_path, what)
    with pytest.raises(InputError, match=told) as error:
        compared(ground, "base", str(tmp_path))
    assert str(tmp_path) in str(error.value)


def test_a_folder_that_is_not_there_is_no_repository(ground: Path, tmp_path: Path) -> None:
    for name in ("./absent", str(tmp_path / "absent")):
        with pytest.raises(InputError, match="absent: no such folder"):
            compare(name, name, None, ground / "general.txt", ground / "text.txt", 12)


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_not_this_folder(ground: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"model '{name}': no name. Give a repository"):
        load("A", name)


def test_kl_is_of_b_against_a_over_what_b_says(ground: Path, trained: Comparison) -> None:
    a, b = load("A", str(ground / "base")), load("B", str(ground / "adapter"))
    said = [(one.prompt, one.b.text) for one in trained.answers]
    assert trained.kl == pytest.approx(kl(b.model, a.model, b.tokenizer, said, 32), rel=2e-4)
    for other in (
        kl(a.model, b.model, b.tokenizer, said, 32),
        kl(b.model, a.model, b.tokenizer, [(p.prompt, p.a.text) for p in trained.answers], 32),
    ):
        assert other != pytest.approx(trained.kl, rel=1e-3)


def test_refusals_are_the_share_of_answers_that_refuse(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random model refuses nothing in words, so the answers are given."""
    told = ["I'm sorry, but I can't help with that.", "Paris.", "Red."]
    answers = [Answer(text, True, tokens=3) for text in told]
    monkeypatch.setattr("tasks.core.compare.generate", lambda *asked, **how: answers)
    found = compared(ground, "base", "merged")
    assert found.a.figures.refusals == found.b.figures.refusals == pytest.approx(1 / 3)


def test_questions_of_several_turns_come_as_json_lines(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Who are you?"},
    ]
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps({"kind": "turns", "messages": turns}) + "\n\n")
    assert read_prompts(path) == [turns]
    for line in ("no JSON", "[]", "{}", '{"messages": []}', json.dumps({"messages": turns[:2]})):
        path.write_text(json.dumps({"messages": turns}) + "\n" + line)
        with pytest.raises(InputError, match=r"q\.jsonl:2: no question"):
            read_prompts(path)


@pytest.mark.parametrize("content", [None, b"", b"\n \n", b"\xff\xfe\xfa"])
def test_a_file_without_a_question_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "q.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"--questions .*q\.txt"):
        read_prompts(path)


@pytest.mark.parametrize(
    ("a", "b", "only_a", "only_b"),
    [
        ("I am Qwen.", "I am Deep Qwen.", [], ["Deep "]),
        ("Yes, it's 4.", "Yes, it isn't 4!", ["it's ", "."], ["it ", "isn't ", "!"]),
        ("我叫小明。", "我叫小红。", ["明"], ["红"]),
        ("मेरा नाम राम है", "मेरा नाम श्याम है", ["राम "], ["श्याम "]),
        ("a\nb", "a b", ["a\n"], ["a "]),
        ("", "So.", [""], ["So."]),
        ("  x", "x", ["  "], []),
        ("same", "same", [], []),
    ],
)
def test_words_that_only_one_side_says_are_marked(
    a: str, b: str, only_a: list[str], only_b: list[str]
) -> None:
    in_a, in_b = differences(a, b)
    assert ("".join(text for text, _ in in_a), "".join(text for text, _ in in_b)) == (a, b)
    for pieces, only in ((in_a, only_a), (in_b, only_b)):
        assert "".join(text for text, marked in pieces if marked) == "".join(only)


def answered(question: str, a: str, b: str, **more: Any) -> Both:
    prompt = [{"role": "user", "content": question}]
    return Both(prompt, Answer(a, True, tokens=3), Answer(b, True, tokens=3, **more), a == b)


FIGURES = Figures(3.0, 0.0, 0.0, 1.0, 0.0, 12345.6)
MADE = Comparison(
    a=Side("one", "one@" + "a" * 40, FIGURES),
    b=Side("two", "two@" + "b" * 40, FIGURES),
    equal=0.5,
    kl=0.25,
    same_tokens=True,
    renames=("Qwen became Deep Qwen",),
    max_new_tokens=12,
    answers=(
        answered("Same?", "Yes.", "Yes."),
        answered("<b>Markup</b>?", "[bold]a[/bold] \x1b[2J", "<script>b</script>"),
        answered("Also the same?", "No.", "No."),
        answered("Too long?", "x", "", error="the prompt is long"),
    ),
)


def in_a_terminal(compared: Comparison) -> str:
    console = Console(width=110, file=io.StringIO(), markup=False)
    for table in tables(compared):
        console.print(table)
    return console.file.getvalue()


def test_the_terminal_shows_what_differs_and_counts_what_is_equal() -> None:
    shown = in_a_terminal(MADE)
    assert "2 of 4 questions" in shown and "Also the same?" not in shown
    assert "[bold]a[/bold]" in shown and "\x1b[2J" not in shown  # neither markup nor the cursor
    assert "[no answer: the prompt is long]" in shown
    assert re.search(r"KL\(B \|\| A\).* 0\.25 ", shown) and "12,346" in shown


def test_the_page_stands_alone_and_shows_text_as_text(tmp_path: Path) -> None:
    write(MADE, tmp_path)
    page = (tmp_path / "compare.html").read_text("utf-8")
    assert not re.search(r"<script|<link|<img|src=|href=|url\(|@import|https?:", page)
    assert "&lt;b&gt;Markup&lt;/b&gt;?" in page and "&lt;" in page
    assert page.count("<tr><td dir") == len(MADE.answers)
    assert "<h2>Different answers: 2 of 4</h2>" in page
    told = json.loads((tmp_path / "compare.json").read_text("utf-8"))
    assert told == json.loads(json.dumps(MADE.as_dict()))


@pytest.mark.slow
def test_the_command_prints_tables_and_writes_the_report(ground: Path, tmp_path: Path) -> None:
    sides = (str(ground / "base"), str(ground / "adapter"))
    asked = ("--questions", str(ground / "questions.txt"), "--max-new-tokens", "12")
    done = pairpress("compare", *sides, *asked, "--report", str(tmp_path / "new" / "report"))
    assert done.returncode == 0, done.stderr
    assert "equal answers" in done.stdout and "KL(B || A)" in done.stdout
    told = json.loads((tmp_path / "new" / "report" / "compare.json").read_text("utf-8"))
    assert [one["prompt"][0]["content"] for one in told["answers"]] == QUESTIONS


def test_the_command_ends_with_2_where_nothing_can_be_written(ground: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for report in ("", str(tmp_path / "file" / "report")):
        done = pairpress("compare", str(ground), str(ground), "--report", report)
        assert done.returncode == 2 and done.stderr.startswith("pairpress: --report")
