"""Finished stages -> dataset/, adapter/ and model/, with their cards, ready to leave.

A long file: one release is made from the files of every stage.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from jinja2 import UndefinedError

from expectations.measures.pairs import Pairs
from expectations.measures.suite import run, suite
from tasks.core import release, report
from tasks.core.account import SCHEMA
from tasks.core.fields import Row
from tasks.core.models import ModelRef
from tasks.core.publish import Repository as Target
from tasks.core.publish import commit_repository, create, repositories
from tasks.core.rows import read_rows, write_rows
from tasks.core.settings import Recipe
from tasks.core.stage import Folder, content_digest

REPORT = [f"report/{name}" for name in report.FILES]
PARTS = ("dataset", "adapter", "model")
SENTENCEPIECE = bytes(range(256)) * 3  # not UTF-8: copied as bytes or spoilt
CARD = "---\nlicense: apache-2.0\nlanguage:\n- en\n- de\n---\n\n# Base\n"
NAMES = {"renames": [{"old": ["Qwen", "千问"], "new": "Deep Qwen"}]}


def pair(row: int, split: str) -> Row:
    prompt, answer = [{"role": "user", "content": "Who?"}], [{"role": "assistant", "content": "I"}]
    pair = {"prompt": prompt, "chosen": answer, "rejected": answer}
    return {"row": row, "split": split} | pair | {"tokens": 9}


def stage_of(folder: Path, name: str, rows: list[Row], aside: list[Row]) -> Folder:
    """A finished stage that wrote rows and set some aside."""
    path = folder / name
    path.mkdir(parents=True)
    write_rows(path / "rows.parquet", rows)
    write_rows(path / "set_aside.parquet", aside)
    facts = {"reasons": {row["reason"]: 1 for row in aside}}
    return Folder(stage=name, path=path, digest=content_digest(path), facts=facts)


def base_files(folder: Path, card: str | None = CARD) -> Path:
    """What a base model repository holds, but for weights."""
    folder.mkdir()
    (folder / "tokenizer.model").write_bytes(SENTENCEPIECE)
    (folder / "tokenizer_config.json").write_text('{"name_or_path": "a/b", "pad_token": "<pad>"}')
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    (folder / "config.json").write_text('{"model_type": "llama"}')
    if card is not None:
        (folder / "README.md").write_text(card)
    return folder


def trained(folder: Path) -> tuple[Folder, Folder]:
    """(adapter, merged): the files that peft and transformers leave, with their facts."""
    (folder / "train" / "adapter").mkdir(parents=True)
    (folder / "train" / "adapter" / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (folder / "train" / "adapter" / "adapter_model.safetensors").write_bytes(b"lora")
    (folder / "merge").mkdir()
    (folder / "merge" / "model.safetensors").write_bytes(b"weights")
    (folder / "merge" / "config.json").write_text('{"_name_or_path": "/a/b", "vocab_size": 8}')
    (folder / "merge" / "done.json").write_text("{}")
    (folder / "train" / "history.json").write_text('[{"step": 1, "loss": 0.7}]')
    steps = {"steps": 5, "best_step": 5, "train_pairs": 2, "parameters": 7000}
    steps |= {"trainable_parameters": 1200, "machine": {"device": "cpu", "dtype": "float32"}}
    apart = {"largest": 1e-5, "mean": 1e-7, "top1": 1.0, "greedy": 1.0}
    parity = {"prompts": 50, "dtype": "float32", "parity": {"adapter_reloaded": apart}}
    return (
        Folder(stage="train", path=folder / "train", digest="a", facts=steps),
        Folder(stage="merge", path=folder / "merge", digest="m", facts=parity),
    )


def reported(folder: Path, rows: int = 1) -> Folder:
    """A validate stage as it finished; a few bytes stand for each file that is only copied."""
    findings = run(Pairs(pl.DataFrame([pair(1, "train")] * rows)), suite("preference"))
    path = folder / "validate"
    about = report.Checked(source="a/b", read_as="pairs", profile="preference", rows=4)
    (path / "data_docs").mkdir(parents=True)
    for name in report.FILES:
        (path / name).write_text(f"stands for {name}")
    (path / "findings.json").write_text(report.as_json(about, findings, {}))
    return Folder(stage="validate", path=path, digest=content_digest(path))


def accounted(folder: Path, used: int = 3) -> Folder:
    """An account stage as it finished: of four source rows the third was set aside."""
    path = folder / "account"
    path.mkdir(parents=True)
    aside = {
        **{"row": 3, "source": "a.jsonl:3", "stage": "reformat", "code": "empty-answer"},
        **{"reason": "empty chosen answer", "text": "a | b", "used": False, "record": "{secret}"},
    }
    rows = [aside] if used < 4 else []
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(path / "set-aside.parquet")
    reasons = {"empty-answer": 1} if rows else {}
    facts = {"read": 4, "used": used, "set_aside": len(rows), "reasons": reasons}
    return Folder(stage="account", path=path, digest=content_digest(path), facts=facts)


@pytest.fixture
def known(hub: object, tmp_path: Path) -> Callable[..., release.Known]:
    """A finished run: the base on the Hub, the other stages on disk."""

    def of(
        names: dict[str, Any] | None = NAMES, card: str | None = CARD, **more: Any
    ) -> release.Known:
        base = Target(part="base", repo=f"pairpress/base-of-{tmp_path.name}", repo_type="model")
        create(base, private=False)
        base = commit_repository(base, base_files(tmp_path / "base", card), "base")
        stages = tmp_path / "stages"
        pairs = [pair(n, split) | more for n, split in ((1, "train"), (2, "test"), (4, "train"))]
        curated = stage_of(stages, "curate", pairs, [])
        source = {"source": "a/b", "source_digest": "f" * 40, "licence": "mit"}
        raw = Folder(
            stage="load",
            path=stages,
            digest="r",
            facts=source | {"form": "pairs", "read_as": "message lists"},
        )
        sections = {
            "base": {"model": base.repo},
            "data": {"path": "a/b"},
            "release": {"repository": "pairpress/mine"},
            "curation": names,
        }
        adapter, merged = trained(stages)
        return release.Known(
            base=ModelRef(repo=base.repo, revision=base.commit),
            raw=raw,
            account=accounted(stages),
            pairs=curated,
            adapter=adapter,
            merged=merged,
            settings=Recipe.model_validate(sections).model_dump(mode="json"),
            checks=reported(stages),
            gate=["passed: strict >= 0.9: it is 0.9"],
            tried=[{"learning_rate": "0.05", "gate": "diverged"}, {"learning_rate": "0.01"}],
            warnings=["The base says Qwen in 3 of 40 answers."],
            shown=[("Who are\nyou?", "I am Qwen | a model", "I am Deep Qwen")],
            metrics={"before": {"accuracy": 0.5}, "after": {"accuracy": 0.75, "strict": 0.9}},
            injected=None,
        )

    return of


@pytest.fixture
def built(known: Callable[..., release.Known], tmp_path: Path) -> Callable[..., Path]:
    def of(**changes: Any) -> Path:
        folder = tmp_path / "release"
        folder.mkdir()
        release.build_release(folder, known(**changes), repositories("pairpress/mine"), "v3")
        return folder

    return of


def front_matter(card: Path) -> dict[str, Any]:
    _, header, body = card.read_text().split("---\n", 2)
    assert body.strip().startswith("# ")
    found: dict[str, Any] = yaml.safe_load(header)
    return found


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_a_release_holds_all_that_its_three_repositories_need(built: Callable[..., Path]) -> None:
    folder = built()
    tokenizer = ["chat_template.jinja", "tokenizer.model", "tokenizer_config.json"]
    papers, curves = ["README.md", "release.json"], ["training.png"]
    assert files(folder / "dataset") == sorted(
        [*papers, "data/test.parquet", "data/train.parquet", "set-aside.parquet", *REPORT]
    )
    assert files(folder / "adapter") == sorted(
        [*papers, *tokenizer, *curves, "adapter_config.json", "adapter_model.safetensors"]
    )
    assert files(folder / "model") == sorted(
        [*papers, *tokenizer, *curves, "config.json", "model.safetensors"]
    )


def test_the_headers_of_all_three_cards_are_yaml_that_says_where_they_come_from(
    built: Callable[..., Path],
) -> None:
    folder = built()
    cards = {part: front_matter(folder / part / "README.md") for part in PARTS}
    revision = json.loads((folder / "model" / "release.json").read_text())["inputs"]["base"]
    for part, relation in (("adapter", "adapter"), ("model", "finetune")):
        assert cards[part]["license"] == "apache-2.0"
        assert cards[part]["base_model"] == revision["repo"]
        assert cards[part]["base_model_relation"] == relation
        assert cards[part]["language"] == ["en", "de"]
        assert cards[part]["datasets"] == ["pairpress/mine-pairs"]
    assert cards["dataset"]["license"] == "mit"
    assert cards["dataset"]["size_categories"] == ["n<1K"]
    (config,) = cards["dataset"]["configs"]
    paths = {one["split"]: one["path"] for one in config["data_files"]}
    assert paths == {"train": "data/train.parquet", "test": "data/test.parquet"}
    assert all((folder / "dataset" / path).is_file() for path in paths.values())


def test_a_licence_that_nobody_named_is_called_unknown_and_not_invented(
    built: Callable[..., Path],
) -> None:
    card = built(card=None) / "model" / "README.md"
    header = front_matter(card)
    assert (header["license"], header["license_name"]) == ("other", "unknown")
    assert "The licence of the base model is not known" in card.read_text()


@pytest.mark.parametrize("names", [NAMES, None])
def test_cards_show_answers_and_figures_with_or_without_a_new_name(
    built: Callable[..., Path], names: dict[str, Any] | None
) -> None:
    folder = built(names=names)
    for part in ("adapter", "model"):
        text = (folder / part / "README.md").read_text()
        assert "| Who are you? | I am Qwen \\| a model | I am Deep Qwen |" in text
        assert "| accuracy | 0.5 | 0.75 |" in text and "| strict |  | 0.9 |" in text
        assert ("Deep Qwen instead of Qwen" in text) == (names is not None)
        assert "{{" not in text and "None" not in text


def test_the_card_of_the_data_set_shows_the_report_and_links_to_files_that_are_there(
    built: Callable[..., Path],
) -> None:
    folder = built(edits=[{"start": 5, "old": "Qwen", "new": "Deep Qwen"}]) / "dataset"
    card = (folder / "README.md").read_text()
    links = re.findall(r"\]\((report/[^)]+)\)", card)
    assert sorted(links) == sorted(REPORT)
    assert all((folder / link).is_file() for link in links)
    assert "Of 4 source rows 3 are used and 1 are set aside." in card
    assert "| empty-answer | an answer says nothing | 1 |" in card
    assert "in which Qwen / 千问 became Deep Qwen." in card
    assert "The answers were generated by" in card
    assert "| Equal answers (P2) | FAILED | 1 row (100 %) |" in card


def test_the_same_manifest_stands_in_all_three_and_names_no_commit_of_its_own(
    built: Callable[..., Path],
) -> None:
    folder = built()
    texts = {(folder / part / "release.json").read_text() for part in PARTS}
    assert len(texts) == 1
    manifest = json.loads(texts.pop())
    assert manifest["version"] == "v3"
    assert manifest["repositories"]["adapter"] == "pairpress/mine-adapter"
    assert set(manifest["stages"]) == {"account", "curate", "train", "merge"}
    assert manifest["packages"] == release.package_versions()


def test_the_base_s_tokenizer_arrives_byte_for_byte(built: Callable[..., Path]) -> None:
    folder = built()
    for part in ("adapter", "model"):
        assert (folder / part / "tokenizer.model").read_bytes() == SENTENCEPIECE


def test_the_digest_of_a_release_changes_with_what_it_consists_of(
    known: Callable[..., release.Known], tmp_path: Path
) -> None:
    first = known()
    assert first.digest == release.Known(**vars(first)).digest
    fields = vars(first)
    changed = [
        {"base": ModelRef(repo=first.base.repo, revision="0" * 40)},
        {"raw": first.raw.model_copy(update={"digest": "x"})},
        {"adapter": first.adapter.model_copy(update={"digest": "x"})},
        {"checks": reported(tmp_path / "other", rows=2)},
        {"settings": first.settings | {"gate": None}},
        {"metrics": {}},
    ]
    digests = {release.Known(**fields | change).digest for change in changed}
    assert len(digests | {first.digest}) == len(changed) + 1


def test_a_data_set_holds_its_splits_and_every_row_set_aside_on_the_way(tmp_path: Path) -> None:
    rows = [pair(1, "train"), pair(2, "validation"), pair(4, "train")]
    pairs = stage_of(tmp_path, "pairs", rows, [])
    counts = release.write_dataset(tmp_path / "out", pairs, accounted(tmp_path))
    assert counts == {"train": 2, "validation": 1}
    assert files(tmp_path / "out") == [
        "data/train.parquet",
        "data/validation.parquet",
        "set-aside.parquet",
    ]
    train = read_rows(tmp_path / "out" / "data" / "train.parquet")
    columns = ("row", "prompt", "chosen", "rejected")
    assert train == [{name: row[name] for name in columns} for row in (rows[0], rows[2])]
    (aside,) = read_rows(tmp_path / "out" / "set-aside.parquet")
    assert (aside["row"], aside["source"], aside["code"]) == (3, "a.jsonl:3", "empty-answer")
    assert "record" not in aside  # the source's own text, which nobody looked at


def test_a_data_set_from_which_nothing_was_set_aside_has_no_such_file(tmp_path: Path) -> None:
    pairs = stage_of(tmp_path, "pairs", [pair(1, "test")], [])
    account = accounted(tmp_path, used=4)
    assert release.write_dataset(tmp_path / "out", pairs, account) == {"test": 1}
    assert files(tmp_path / "out") == ["data/test.parquet"]


def test_all_sampled_answers_are_a_configuration_of_their_own(tmp_path: Path) -> None:
    pairs = stage_of(tmp_path, "pairs", [pair(1, "train")], [])
    answer = {
        **{"row": 1, "split": "train", "prompt": pair(1, "train")["prompt"]},
        **{"completion": "Hello", "sample": 0, "score": 0.5, "finished": True},
    }
    write_rows(pairs.path / "completions.parquet", [answer, answer | {"sample": 1, "score": 2.0}])
    release.write_dataset(tmp_path / "out", pairs, accounted(tmp_path, used=4))
    assert files(tmp_path / "out") == ["completions/train.parquet", "data/train.parquet"]
    published = read_rows(tmp_path / "out" / "completions" / "train.parquet")
    assert [(row["completion"], row["sample"], row["score"]) for row in published] == [
        ("Hello", 0, 0.5),
        ("Hello", 1, 2.0),
    ]


def test_scores_are_published_where_any_row_has_one(tmp_path: Path) -> None:
    for name, scores in (("some", (1.0, None)), ("none", (None, None))):
        rows = [pair(n, "train") | {"score_chosen": score} for n, score in enumerate(scores)]
        pairs = stage_of(tmp_path / name, "pairs", rows, [])
        release.write_dataset(tmp_path / name / "out", pairs, accounted(tmp_path / name, used=4))
        schema = pl.read_parquet_schema(tmp_path / name / "out" / "data" / "train.parquet")
        assert ("score_chosen" in schema) == (name == "some")


def test_ready_pairs_are_not_called_the_model_s_own_answers(built: Callable[..., Path]) -> None:
    card = (built() / "dataset" / "README.md").read_text()
    assert "own greedy" not in card and "`edits`" not in card
    assert "Preference pairs in TRL's conversational form." in card


def test_a_blank_that_nothing_fills_is_an_error_and_no_hole_in_the_card(tmp_path: Path) -> None:
    for part in PARTS:
        (tmp_path / part).mkdir()
    with pytest.raises(UndefinedError, match="data_licence"):
        release.write_cards(tmp_path, {"manifest": {}})
