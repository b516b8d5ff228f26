"""What a training did, step by step, as pictures: rewards, margins, accuracies, likelihoods, loss.

in   history.json of a training, TRL's own log: https://huggingface.co/docs/trl/dpo_trainer
out  PNG, 1200 pixels wide, the same bytes for the same history

Loss, margins and accuracies look better in a wrecked run than in a sound one. So the first panel
shows the rewards of chosen and rejected apart: chosen below 0 is an answer that became less likely.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.sentences import TRAINING, parse

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Sequence[Mapping[str, Any]]
WIDTH, DPI = 9.6, 125  # inches, and dots an inch: 1200 pixels


@dataclass(frozen=True)
class Panel:
    """`lines`: label -> metric of tasks.core.sentences.TRAINING, in the colours of both answers."""

    title: str
    lines: Mapping[str, str]
    ends: tuple[float | None, float | None] = (None, None)  # of the axis, where the metric has them
    zero: bool = False  # a line at 0, where the reference is


PANELS = (
    Panel("Rewards, nats", {"chosen": "chosen_rewards", "rejected": "rejected_rewards"}, zero=True),
    Panel("Margin of the rewards, nats", {"chosen - rejected": "reward_margin"}, zero=True),
    Panel("Accuracy", {"tokens": "token_accuracy", "rewards": "reward_accuracy"}, (-0.04, 1.04)),
    Panel(
        "Log-probability of an answer, nats",
        {"chosen": "chosen_logps", "rejected": "rejected_logps"},
    ),
    Panel("Loss", {"loss": "loss"}),
    Panel("Entropy of the next token, nats", {"entropy": "entropy"}, (0, None)),
)
BESIDE = (PANELS[0], PANELS[1], PANELS[2], PANELS[4])


def draw(
    history: History,
    path: Path,
    title: str,
    *,
    best_step: int | None = None,
    limits: Sequence[str] = (),
) -> None:
    """One training. `best_step`: the checkpoint that goes on; `limits`: sentences of `watch`."""
    with _figure(9.2) as figure:
        grid = figure.subplots(3, 2, sharex=True)
        for axes, panel in zip(grid.flat, PANELS, strict=True):
            _panel(axes, panel, history, best_step, limits)
            axes.set_title(panel.title, loc="left")
        for axes in grid[-1]:
            axes.set_xlabel("step")
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, parse_math=False)
        _legend(figure, best_step, bool(limits))
        _save(figure, path)


def side_by_side(
    histories: Mapping[str, History], path: Path, *, limits: Sequence[str] = ()
) -> None:
    """A column for each training; the panels of a row share their scale."""
    with _figure(10.4) as figure:
        grid = figure.subplots(len(BESIDE), len(histories), sharey="row", squeeze=False)
        for column, (label, history) in enumerate(histories.items()):
            for axes, panel in zip(grid[:, column], BESIDE, strict=True):
                _panel(axes, panel, history, None, limits)
                axes.set_title(f"{label}\n{panel.title}" if panel is BESIDE[0] else panel.title)
            grid[-1, column].set_xlabel("step")
        _legend(figure, None, bool(limits))
        _save(figure, path)


def points(history: History, key: str) -> tuple[list[int], list[float]]:
    """(steps, values) of one column of the log; what is not finite is NaN, and not drawn."""
    found = [(entry["step"], float(entry[key])) for entry in history if key in entry]
    return [step for step, _ in found], [v if math.isfinite(v) else math.nan for _, v in found]


def thresholds(history: History, metric: str, limits: Sequence[str]) -> Iterator[tuple[str, float]]:
    """(sentence, threshold) of this metric; `start` is its first evaluation."""
    _, values = points(history, TRAINING[metric])
    for text in limits:
        sentence = parse(text, TRAINING)
        threshold = sentence.threshold({metric: values[0]} if values else None)
        if sentence.metric == metric and math.isfinite(threshold):
            yield sentence.text, threshold


def _panel(
    axes: "Axes", panel: Panel, history: History, best_step: int | None, limits: Sequence[str]
) -> None:
    from matplotlib.ticker import MaxNLocator

    from tasks.core.report_picture import CHOSEN, QUIET, REJECTED

    if panel.zero:
        axes.axhline(0, color=QUIET, linewidth=0.8)
    missing = 0
    for (label, metric), colour in zip(panel.lines.items(), (CHOSEN, REJECTED), strict=False):
        key = TRAINING[metric]
        steps, batches = points(history, key.removeprefix("eval_"))
        axes.plot(steps, batches, color=colour, linewidth=0.8, alpha=0.55)
        steps, values = points(history, key)
        axes.plot(steps, values, color=colour, linewidth=1.8, marker="o", markersize=4, label=label)
        missing += sum(map(math.isnan, (*batches, *values)))
        for text, limit in thresholds(history, metric, limits):
            axes.axhline(limit, color=colour, linewidth=1.2, linestyle="--")
            _note(axes, text, limit, colour)
    if best_step is not None:
        axes.axvline(best_step, color="black", linewidth=1, linestyle=":")
    if missing:
        axes.text(
            *(0.02, 0.04, f"not finite: {missing:,} values"), color="red", transform=axes.transAxes
        )
    if panel.ends != (None, None):  # else it would no longer follow the data of its row
        axes.set_ylim(*panel.ends)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(panel.lines) > 1:
        axes.legend(frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _note(axes: "Axes", text: str, height: float, colour: str) -> None:
    """Small words at the right end of a horizontal line, on the side where the run may be."""
    above = ">" in text
    axes.annotate(
        *(text, (1, height)),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2 if above else -2),
        textcoords="offset points",
        ha="right",
        va="bottom" if above else "top",
        fontsize=8,
        color=colour,
    )


def _legend(figure: "Figure", best_step: int | None, limits: bool) -> None:
    """What the marks mean that are the same in all panels."""
    from matplotlib.lines import Line2D

    from tasks.core.report_picture import QUIET

    marks: list[Artist] = [
        Line2D([], [], color=QUIET, linewidth=0.8, alpha=0.8, label="each batch of training"),
        Line2D([], [], color=QUIET, linewidth=1.8, marker="o", markersize=4, label="validation"),
    ]
    if best_step is not None:
        goes_on = f"step {best_step:,} goes on"
        marks.append(Line2D([], [], color="black", linewidth=1, linestyle=":", label=goes_on))
    if limits:
        limit = "limit of the recipe"
        marks.append(Line2D([], [], color=QUIET, linewidth=1.2, linestyle="--", label=limit))
    figure.legend(handles=marks, loc="outside lower left", ncols=len(marks), frameon=False)


@contextmanager
def _figure(height: float) -> "Iterator[Figure]":
    """An empty figure whose looks depend on nothing but this file."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from tasks.core.report_picture import FONT

    with matplotlib.rc_context(
        {"font.family": FONT, "font.size": 10, "axes.titlesize": 11, "legend.fontsize": 9}
    ):
        yield Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(h_pad=0.07))


def _save(figure: "Figure", path: Path) -> None:
    figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})
