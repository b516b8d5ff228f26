"""Finished stages -> dataset/, adapter/ and model/, with their cards, ready to leave."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from finished_run import (
    NAMES,
    SENTENCEPIECE,
    accounted,
    finished_run,
    pair,
    reported,
    stage_of,
)
from jinja2 import UndefinedError

from tasks.core import cards, manifest, release, report
from tasks.core.manifest import Known
from tasks.core.models import ModelRef
from tasks.core.publish import repositories
from tasks.core.rows import read_rows, write_rows

REPORT = [f"report/{name}" for name in report.FILES]
PARTS = ("dataset", "adapter", "model")


@pytest.fixture(scope="module")
def folder(hub: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One release, for all tests that only look at it."""
    made = tmp_path_factory.mktemp("mine")
    known = finished_run(made / "run")
    release.build_release(made, known, repositories("pairpress/mine"), "v3", {})
    return made


@pytest.fixture
def written(hub: object, tmp_path: Path) -> Callable[..., Path]:
    """The cards of another run, and the report beside the first, without the rest."""

    def of(**changes: Any) -> Path:
        known = finished_run(tmp_path, **changes)
        for part in PARTS:
            (tmp_path / part).mkdir()
        release.write_report(tmp_path / "dataset" / "report", known.checks)
        repos = {target.part: target.repo for target in repositories("pairpress/mine")}
        facts = release.card_facts(known, repos, "v3", {"train": 2, "test": 1})
        cards.write_cards(tmp_path, facts, {})
        return tmp_path

    return of


def front_matter(card: Path) -> dict[str, Any]:
    _, header, body = card.read_text().split("---\n", 2)
    assert body.strip().startswith(f"{cards.BEGIN}\n") and "\n# pairpress/mine" in body
    found: dict[str, Any] = yaml.safe_load(header)
    return found


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_a_release_holds_all_that_its_three_repositories_need(folder: Path) -> None:
    tokenizer = ["chat_template.jinja", "tokenizer.model", "tokenizer_config.json"]
    papers, pictures = ["README.md", "release.json"], ["before-after.png", "training.png"]
    assert files(folder / "dataset") == sorted(
        [*papers, "data/test.parquet", "data/train.parquet", "set-aside.parquet", *REPORT]
    )
    assert files(folder / "adapter") == sorted(
        [*papers, *tokenizer, *pictures, "adapter_config.json", "adapter_model.safetensors"]
    )
    assert files(folder / "model") == sorted(
        [*papers, *tokenizer, *pictures, "config.json", "model.safetensors", "recipe.yaml"]
    )


def test_the_headers_of_all_three_cards_are_yaml_that_says_where_they_come_from(
    folder: Path,
) -> None:
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
    written: Callable[..., Path],
) -> None:
    card = written(card=None) / "model" / "README.md"
    header = front_matter(card)
    assert (header["license"], header["license_name"]) == ("other", "unknown")
    assert "The licence of the base model is not known" in card.read_text()


@pytest.mark.parametrize("names", [NAMES, None])
def test_cards_show_answers_and_figures_with_or_without_a_new_name(
    folder: Path, written: Callable[..., Path], names: dict[str, Any] | None
) -> None:
    folder = folder if names else written(names=None)
    for part in ("adapter", "model"):
        text = (folder / part / "README.md").read_text()
        assert "| Who are you? | I am Qwen \\| a model | I am Deep Qwen |" in text
        assert "| reward_accuracy | 0.5 | 0.75 |" in text and "| strict |  | 0.9 |" in text
        assert ("Deep Qwen instead of Qwen" in text) == (names is not None)
        assert "{{" not in text and "None" not in text


def test_the_card_of_the_data_set_shows_the_report_and_links_to_files_that_are_there(
    written: Callable[..., Path],
) -> None:
    folder = written(edits=[{"start": 5, "old": "Qwen", "new": "Deep Qwen"}]) / "dataset"
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
    folder: Path,
) -> None:
    texts = {(folder / part / "release.json").read_text() for part in PARTS}
    assert len(texts) == 1
    said = json.loads(texts.pop())
    assert (said["version"], said["digest"]) == ("v3", "d" * 64)
    assert said["repositories"]["adapter"] == "pairpress/mine-adapter"
    assert said["rows"] == {"dataset": {"train": 2, "test": 1}}
    assert set(said["stages"]) == {"account", "curate", "train", "merge"}
    assert said["packages"] == manifest.package_versions()
    assert said["hardware"].items() >= {"device": "cpu", "dtype": "float32"}.items()
    assert said["hardware"]["processor"] and said["hardware"]["memory_gib"] >= 1
    assert said["packages"].keys() >= {"python", "tokenizers", "accelerate"}
    assert said["seeds"] == {"splits": 0, "training": 0}
    assert said["checks"][0].keys() == {"check", "word", "number"}


def test_the_base_s_tokenizer_arrives_byte_for_byte(folder: Path) -> None:
    for part in ("adapter", "model"):
        assert (folder / part / "tokenizer.model").read_bytes() == SENTENCEPIECE


def test_of_what_training_and_merging_left_only_weights_and_configurations_leave(
    tmp_path: Path,
) -> None:
    made, base = tmp_path / "made", tmp_path / "base"
    base.mkdir()
    for folder in (made, made / "checkpoint-3"):
        folder.mkdir()
        for stem in ("adapter_config", "adapter_model", "config", "model"):
            for suffix in ("json", "safetensors", "py", "bin"):
                (folder / f"{stem}.{suffix}").write_bytes(b"{}")
    release.write_adapter(tmp_path / "adapter", made, base)
    release.write_model(tmp_path / "model", made, base)
    kinds = ("json", "safetensors")
    for part, stems in (
        ("adapter", ("adapter_config", "adapter_model")),
        ("model", ("config", "model")),
    ):
        expected = [f"{stem}.{kind}" for stem in stems for kind in kinds]
        assert files(tmp_path / part) == expected


def test_the_digest_of_a_release_does_not_depend_on_the_machine(
    hub: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = finished_run(tmp_path)
    fields = {field.name: getattr(known, field.name) for field in dataclasses.fields(known)}
    monkeypatch.setattr(manifest, "hardware", lambda machine: {"processor": "another"})
    monkeypatch.setattr(manifest, "package_versions", lambda: {"python": "4"})
    assert Known(**fields).content == known.content


def test_the_digest_of_a_release_changes_with_what_it_consists_of(
    hub: object, tmp_path: Path
) -> None:
    first = finished_run(tmp_path)
    fields = {field.name: getattr(first, field.name) for field in dataclasses.fields(first)}
    assert first.content == Known(**fields).content
    changed = [
        {"base": ModelRef(repo=first.base.repo, revision="0" * 40)},
        {"raw": first.raw.model_copy(update={"digest": "x"})},
        {"adapter": first.adapter.model_copy(update={"digest": "x"})},
        {"checks": reported(tmp_path / "other", rows=2)},
        {"settings": first.settings | {"gate": None}},
        {"metrics": {}},
    ]
    digests = {Known(**fields | change).content for change in changed}
    assert len(digests | {first.content}) == len(changed) + 1


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


def test_ready_pairs_are_not_called_the_model_s_own_answers(folder: Path) -> None:
    card = (folder / "dataset" / "README.md").read_text()
    assert "own greedy" not in card and "`edits`" not in card
    assert "Preference pairs in TRL's conversational form." in card


def test_a_blank_that_nothing_fills_is_an_error_and_no_hole_in_the_card(tmp_path: Path) -> None:
    for part in PARTS:
        (tmp_path / part).mkdir()
    with pytest.raises(UndefinedError, match="repos"):
        cards.write_cards(tmp_path, {}, {})
