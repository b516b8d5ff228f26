"""The pictures of a training: what is drawn, and that equal histories give equal bytes."""

import math
import struct
from pathlib import Path

import pytest

from tasks.core.curves import PANELS, draw, points, side_by_side, thresholds
from tasks.core.sentences import TRAINING

EVERY = 5  # steps between evaluations


def history(steps: int = 20, slope: float = 0.1) -> list[dict[str, float]]:
    """What TRL logs: each step, and before the first and at every fifth an evaluation."""
    entries: list[dict[str, float]] = []
    for step in range(steps + 1):
        values = {key: slope * step for key in TRAINING.values()}
        if step:
            batch = {key.removeprefix("eval_"): value for key, value in values.items()}
            entries.append({"step": step, "grad_norm": 1.0} | batch)
        if step % EVERY == 0:
            entries.append({"step": step, "epoch": 0.0} | values)
    return [*entries, {"step": steps, "train_loss": 0.5}]


def size(path: Path) -> tuple[int, int]:
    """Width and height, which stand in the first chunk of a PNG."""
    return struct.unpack(">II", path.read_bytes()[16:24])


def test_every_metric_that_training_logs_is_drawn_once() -> None:
    drawn = [metric for panel in PANELS for metric in panel.lines.values()]
    assert sorted(drawn) == sorted(TRAINING)


def test_batches_of_training_and_evaluations_are_two_lines() -> None:
    log = history(steps=10)
    assert points(log, "rewards/chosen")[0] == list(range(1, 11))
    assert points(log, "eval_rewards/chosen") == ([0, 5, 10], pytest.approx([0, 0.5, 1]))
    assert points(log, "loss")[0] == list(range(1, 11))  # train_loss is the mean of the run


def test_a_picture_is_1200_pixels_wide_and_the_same_bytes_again(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        limits = ("chosen_rewards >= 0", "loss <= 1.5 * start")
        draw(history(), tmp_path / name, "$50 a_b", best_step=15, limits=limits)
    draw(history(), tmp_path / "plain.png", "$50 a_b")
    assert size(tmp_path / "a.png")[0] == 1200
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "plain.png").read_bytes()


def test_a_limit_by_start_stands_where_the_first_evaluation_was() -> None:
    log = [*history(), {"step": 21, "eval_loss": 9.0}]
    log[0]["eval_loss"] = 2.0
    limits = ("loss <= 1.5 * start", "loss < 7", "chosen_rewards >= -1")
    assert list(thresholds(log, "loss", limits)) == [("loss <= 1.5 * start", 3), ("loss < 7", 7)]
    assert list(thresholds(log, "chosen_rewards", limits)) == [("chosen_rewards >= -1", -1)]
    assert list(thresholds([], "loss", limits)) == [("loss < 7", 7)]  # nothing was evaluated


def test_a_run_that_broke_is_drawn_as_far_as_it_went(tmp_path: Path) -> None:
    log = history(steps=10)
    for entry, broken in zip(log[-3:-1], (math.inf, math.nan), strict=True):
        entry |= {key: broken for key in entry if key != "step"}
    steps, values = points(log, "eval_loss")
    assert steps == [0, 5, 10] and math.isnan(values[-1]) and values[:2] == [0, 0.5]
    assert math.isnan(points(log, "loss")[1][-1])
    draw(log, tmp_path / "a.png", "broken", limits=("chosen_rewards >= start",))
    assert size(tmp_path / "a.png")[0] == 1200


def test_a_run_without_a_step_is_drawn_as_well(tmp_path: Path) -> None:
    draw(history(steps=0), tmp_path / "a.png", "short", best_step=0, limits=("loss <= start",))
    side_by_side({"nothing": []}, tmp_path / "b.png", limits=("loss <= start",))
    assert size(tmp_path / "a.png")[0] == size(tmp_path / "b.png")[0] == 1200


def test_trainings_stand_side_by_side_on_one_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    side_by_side({"slow": history(slope=0.1), "fast": history(slope=1)}, tmp_path / "a.png")
    [figure] = figures
    slow, fast = figure.axes[0], figure.axes[1]
    assert slow.get_title().startswith("slow") and fast.get_title().startswith("fast")
    assert slow.get_ylim() == fast.get_ylim()
    assert slow.get_ylim()[1] > 20  # the larger of both: a slope of 1 over 20 steps
