"""The curate stage as a flow runs it: real answers of a random model, a real Hub and server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from random_models import classifier, tokenizer_in, writer

from tasks.core import generate
from tasks.core.answers import journal_path
from tasks.core.fields import Row
from tasks.core.models import resolve_model
from tasks.core.rows import read_rows, write_rows
from tasks.core.settings import Recipe
from tasks.core.stage import Folder, build

pytestmark = pytest.mark.slow

QUESTIONS = ["Hi", "Who are you?", "Your name?", "What is the capital of France?", "One and one?"]
ROWS: list[Row] = [
    {"row": n, "split": split, "prompt": [{"role": "user", "content": f"{question} {n}"}]}
    for n, question in enumerate(QUESTIONS * 3, start=1)
    for split in [("train", "validation", "test")[n % 3]]
]


@pytest.fixture
def server() -> Iterator[None]:
    """Prefect's own for tests, which ends before the test does."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


def prompts() -> Folder:
    def make(folder: Path) -> dict[str, str]:
        write_rows(folder / "rows.parquet", ROWS)
        return {"form": "pairs"}

    return build("split", {"rows": ROWS}, (), make)


def pushed(name: str, model: object, tokenizer: object, folder: Path) -> str:
    from huggingface_hub import HfApi

    for one in (model, tokenizer):
        one.save_pretrained(folder)  # type: ignore[attr-defined]
    repo = HfApi().create_repo(f"pairpress/{name}", exist_ok=True).repo_id
    HfApi().upload_folder(folder_path=folder, repo_id=repo)
    return repo


def recipe_of(reward_model: str, **judge: float) -> Recipe:
    return Recipe.model_validate(
        {
            "base": {"model": "a/writer"},
            "data": {"path": "a/b"},
            "release": {"repository": "mine"},
            "reading": {"max_length": 64},
            "on_policy": {
                "sampling": {"samples": 3, "max_new_tokens": 12},
                "judge": {"reward_model": reward_model, **judge},
            },
        }
    )


def test_on_policy_pairs_come_with_all_completions_and_nothing_is_asked_twice(
    hub: object, server: None, tmp_path: Path
) -> None:
    from prefect import flow

    from tasks.curate import curate_pairs

    tokenizer = tokenizer_in(tmp_path)
    written = pushed("writer-small", writer(tokenizer), tokenizer, tmp_path / "writer")
    judging = pushed("reward-small", classifier(tokenizer), tokenizer, tmp_path / "reward")
    base = resolve_model(written, "main")
    rows = prompts()

    @flow
    def curate(recipe: Recipe) -> Folder:
        return curate_pairs(rows, base, recipe)

    first = curate(recipe_of(judging))
    pairs = read_rows(first.path / "rows.parquet")
    completions = read_rows(first.path / "completions.parquet")
    aside = read_rows(first.path / "set_aside.parquet")
    assert first.facts["form"] == "pairs"
    assert first.facts["completions"] == len(completions) == 3 * len(ROWS)
    assert first.facts["judge"] == str(resolve_model(judging, "main"))
    numbers = {row["row"] for row in ROWS}
    assert {row["row"] for row in pairs} | {row["row"] for row in aside} == numbers
    assert all(pair["score_chosen"] > pair["score_rejected"] for pair in pairs)
    assert {"tokens", "prompt_is_prefix"} <= set(pairs[0])
    assert curate(recipe_of(judging)).cached

    packages = ("torch", "transformers")
    journal = journal_path("sampled", {"base": str(base)}, generate, packages)
    asked = journal.read_bytes()
    other = curate(recipe_of(judging, least_margin=0.001))
    assert not other.cached
    assert read_rows(other.path / "completions.parquet") == completions
    assert journal.read_bytes() == asked  # answered before: only the choice was made anew
