"""What became of the answers, as a picture: the base and the trained model, share by share.

in   metrics before and after, as tasks.core.behaviour measures them
out  PNG, 1200 pixels wide, the same bytes for the same numbers
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.model_index import OF_ANSWERS, OF_PAIRS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Shares in [0, 1] alone.
GROUPS = (
    ("Higher is better", ("strict", "strict_languages", "exact", "same", "denial")),
    ("Lower is better", ("old_name", "leak", "unfinished")),
    ("Refusals", ("refusals_harmless", "refusals_harmful")),
    ("Of all answers", ("equal",)),
    ("Of the held-out pairs; higher is better", ("reward_accuracy", "preference_accuracy")),
)
TOLD = OF_ANSWERS | OF_PAIRS
WIDTH, DPI = 9.6, 125  # inches, and dots an inch: 1200 pixels

Metrics = Mapping[str, float]


def groups(after: Metrics) -> list[tuple[str, list[str]]]:
    """(title, metrics) of those groups of which anything was measured."""
    found = [(title, [name for name in names if name in after]) for title, names in GROUPS]
    return [(title, names) for title, names in found if names]


def draw(before: Metrics, after: Metrics, path: Path, title: str) -> None:
    """Nothing is drawn where nothing of this was measured."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from tasks.core.report_picture import FONT

    panels = groups(after)
    if not panels:
        return
    rows = [len(names) + 0.2 for _, names in panels]  # of each panel, with some air
    height = 0.5 * sum(rows) + 0.5 * len(panels) + 0.8
    with matplotlib.rc_context({"font.family": FONT, "font.size": 10, "axes.titlesize": 11}):
        layout = ConstrainedLayoutEngine(h_pad=0.07)
        figure = Figure(figsize=(WIDTH, height), layout=layout)
        grid = figure.subplots(
            len(panels), squeeze=False, sharex=True, gridspec_kw={"height_ratios": rows}
        )[:, 0]
        for axes, (told, names) in zip(grid, panels, strict=True):
            _panel(axes, names, before, after)
            axes.set_title(told, loc="left")
        grid[-1].set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, parse_math=False)
        bars = grid[0].get_legend_handles_labels()
        figure.legend(*bars, loc="outside lower left", ncols=2, frameon=False)
        figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})


def _panel(axes: "Axes", names: Sequence[str], before: Metrics, after: Metrics) -> None:
    from tasks.core.report_picture import CHOSEN, QUIET

    places = dict(zip(names, range(len(names))[::-1], strict=True))
    sides = ((before, QUIET, 0.19, "base"), (after, CHOSEN, -0.19, "trained"))
    for metrics, colour, offset, label in sides:
        shares = {at: metrics[name] for name, at in places.items() if name in metrics}
        at = [place + offset for place in shares]
        bars = axes.barh(at, list(shares.values()), 0.36, color=colour, label=label)
        axes.bar_label(bars, [f"{100 * one:.1f} %" for one in shares.values()], padding=3)
    axes.set_yticks(list(places.values()), [f"{TOLD[name]}\n{name}" for name in places])
    axes.set_xlim(0, 1.15)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
