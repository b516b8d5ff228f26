"""The stages of a training as a flow runs them: what they say, draw, keep, and find again."""

from pathlib import Path

import pytest
from small_training import TRAIN, VALIDATION, small_base

from tasks import train as stage
from tasks.core import train as training
from tasks.core.models import ModelRef
from tasks.core.rows import write_rows
from tasks.core.settings import Recipe
from tasks.core.stage import Folder, build, work_folder
from tasks.core.watching import Diverged


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return small_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def pairs(tmp_path):
    write_rows(
        tmp_path / "rows.parquet",
        [
            {"row": number, "split": split, **row}
            for split, side in (("train", TRAIN), ("validation", VALIDATION))
            for number, row in enumerate(side)
        ],
    )
    return Folder(stage="pairs", path=tmp_path, digest="0" * 64)


@pytest.fixture
def said(tmp_path, monkeypatch):
    """Log lines and the run page, outside of a Prefect run."""
    lines, run = [], tmp_path / "run"
    run.mkdir()
    monkeypatch.setenv("PAIRPRESS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(stage, "log", lines.append)
    monkeypatch.setattr(stage, "markdown", lambda key, *told: lines.append(" ".join(told)))
    monkeypatch.setattr(stage, "staged", build)
    monkeypatch.setattr(stage, "run_folder", lambda: run)
    return lines


def recipe(**sections):
    least = {"base": {"model": "me/base"}, "data": {"path": "me/data"}}
    least |= {"release": {"repository": "mine"}, "reading": {"max_length": 64}}
    told = {"training": {}, "batch": {"per_device_train_batch_size": 4}, "lora": {"r": 2}}
    told |= sections
    told["training"] = {"learning_rate": 1e-3, "max_steps": 8} | told["training"]
    return Recipe.model_validate(least | told)


def trained(base: ModelRef, pairs: Folder, how: Recipe) -> Folder:
    return stage.train_lora.__wrapped__(base, pairs, None, how)


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("steps", "kept"), [(5, False), (6, False), (7, True)])
def test_the_reference_is_kept_from_the_step_on_that_sees_a_pair_again(
    base, pairs, said, monkeypatch, steps, kept
):
    """22 pairs in batches of 4 are 6 steps, the last of them with 2 pairs."""
    monkeypatch.setattr(stage, "staged", lambda name, *_: name)
    how = recipe(training={"max_steps": steps})
    assert stage.keep_reference.__wrapped__(base, pairs, how) == ("reference" if kept else None)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "file"), [("a/b", "a-b"), ("../../x", "x")])
def test_a_name_with_slashes_names_files_in_their_own_folders(
    base, pairs, said, tmp_path, name, file
):
    trained(base, pairs, recipe(tracking={"run_name": name}))
    assert is_png(tmp_path / "run" / f"training-{file}.png")
    (events,) = (tmp_path / "home" / "tensorboard").iterdir()
    assert events.name.startswith(f"{file}-")
    assert f"Training of {name}" in said[-1]
    assert not list((tmp_path / "home" / "training").iterdir())


@pytest.mark.slow
def test_a_training_that_diverged_leaves_its_picture_on_the_run_page(base, pairs, said, tmp_path):
    how = recipe(
        training={"learning_rate": 0.05, "max_steps": 40},
        watch={"limits": ["reward_margin <= start + 0.05"], "eval_steps": 2},
    )
    with pytest.raises(Diverged, match=r"does not hold .* is drawn: (\S+\.png)\.") as error:
        trained(base, pairs, how)
    (drawn,) = (tmp_path / "run").iterdir()
    assert is_png(drawn) and f"drawn: {drawn}." in str(error.value)
    assert "which diverged" in said[-1] and "data:image/png" in said[-1]
    (work,) = (work_folder() / "training").iterdir()  # the checkpoints stay, the pairs do not
    assert list(work.glob("checkpoint-*")) and not (work / "pairs").exists()


@pytest.mark.slow
def test_a_training_that_goes_on_says_from_which_step(base, pairs, said, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(training, "keep_adapter", None)
        with pytest.raises(TypeError):
            trained(base, pairs, recipe())
    assert not [line for line in said if "going on" in line]
    trained(base, pairs, recipe())
    assert [line for line in said if "going on from step 8 of 8" in line]
