"""The one picture of a report: what the checks saw, for people who do not read tables.

in   histogram of length ratios and strongest features, from the details of L1 and S1; rows set
     aside by reason
out  PNG, the same bytes for the same numbers
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

FONT = "DejaVu Sans"  # comes with matplotlib: the same picture on every machine
CHOSEN, REJECTED, QUIET = "#1b6ca8", "#d1741f", "#7a828a"
LABEL = 32  # characters of a label, in a line
MOST = 10  # bars a panel


def draw(
    path: Path,
    histogram: Mapping[str, Sequence[float]] | None,
    features: Sequence[Mapping[str, Any]],
    set_aside: Mapping[str, int],
) -> None:
    """Panels below each other; a panel whose check was not asked is left out."""
    reasons = sorted(set_aside.items(), key=lambda one: -one[1])[:MOST]
    bars = sorted(features[:MOST], key=lambda one: (not one["found"], -abs(one["b"] - one["c"])))
    heights = {
        "lengths": 2.6 if histogram else 0,
        "features": 1.1 + 0.3 * len(bars) if bars else 0,
        "aside": 0.9 + 0.4 * len(reasons),
    }
    panels = {name: height for name, height in heights.items() if height}
    with matplotlib.rc_context({"font.family": FONT, "font.size": 10, "axes.titlesize": 11}):
        figure = Figure(
            figsize=(9, sum(panels.values())), layout=ConstrainedLayoutEngine(h_pad=0.1)
        )
        grid = figure.subplots(
            len(panels), squeeze=False, gridspec_kw={"height_ratios": list(panels.values())}
        )
        axes = dict(zip(panels, grid[:, 0], strict=True))
        if histogram:
            _lengths(axes["lengths"], histogram)
        if bars:
            _features(axes["features"], bars)
        _aside(axes["aside"], reasons)
        figure.savefig(path, format="png", dpi=130, metadata={"Software": None})


def _lengths(axes: Axes, histogram: Mapping[str, Sequence[float]]) -> None:
    edges, counts = histogram["edges"], histogram["counts"]
    left, width = edges[:-1], edges[1] - edges[0]
    middles = [at + width / 2 for at in left]
    colours = [QUIET if at == 0 else CHOSEN if at > 0 else REJECTED for at in middles]
    axes.bar(left, counts, width, align="edge", color=colours, edgecolor="white", linewidth=0.5)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_title("Length of the chosen answer / length of the rejected one", loc="left")
    ticks = range(int(edges[0]), int(edges[-1]) + 1)
    names = [f"{2**at}" if at >= 0 else f"1/{2**-at}" for at in ticks]
    axes.set_xticks(list(ticks), [f"≤ {names[0]}", *names[1:-1], f"≥ {names[-1]}"])
    axes.set_ylabel("pairs")
    axes.set_ylim(0, 1.25 * max(*counts, 1))
    for side, where, words in (
        (REJECTED, 0.01, "rejected longer"),
        (CHOSEN, 0.99, "chosen longer"),
    ):
        align = "left" if where < 0.5 else "right"
        axes.text(where, 0.88, words, color=side, ha=align, transform=axes.transAxes)
    _plain(axes)


def _features(axes: Axes, features: Sequence[Mapping[str, Any]]) -> None:
    places = list(range(len(features)))[::-1]
    for place, one in zip(places, features, strict=True):
        weight = 1.0 if one["found"] else 0.45
        axes.barh(place, one["b"], color=CHOSEN, alpha=weight)
        axes.barh(place, -one["c"], color=REJECTED, alpha=weight)
    axes.axvline(0, color="black", linewidth=1)
    names = [_feature(one) for one in features]
    axes.set_yticks(places, names, parse_math=False)
    said = "dark: found by S1" if any(one["found"] for one in features) else "none found by S1"
    axes.set_title(f"Strongest one-sided features ({said})", loc="left")
    widest = max(max(one["b"], one["c"]) for one in features)
    axes.set_xlim(-1.05 * widest, 1.05 * widest)
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("prompts: only in rejected (left), only in chosen (right)")
    _plain(axes)


def _aside(axes: Axes, reasons: Sequence[tuple[str, int]]) -> None:
    axes.set_title("Rows set aside, by reason", loc="left")
    _plain(axes)
    if not reasons:
        axes.text(0, 0.5, "none: every row became a pair", color=QUIET, transform=axes.transAxes)
        axes.set_axis_off()
        return
    places = list(range(len(reasons)))[::-1]
    bars = axes.barh(places, [count for _, count in reasons], color=QUIET)
    axes.bar_label(bars, [f"{count:,}" for _, count in reasons], padding=3)
    axes.set_yticks(places, [_wrapped(reason) for reason, _ in reasons], parse_math=False)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.margins(x=0.08)


def _feature(one: Mapping[str, Any]) -> str:
    name = _label(str(one["name"]))
    return name if one["kind"] == "word" else f"{one['kind']}: {name}"


def _label(text: str) -> str:
    """Cut, and with the code of each character that the font has no shape for."""
    known = get_font(findfont(FONT)).get_charmap()
    cut = text if len(text) <= LABEL else f"{text[: LABEL - 3]}..."
    return "".join(one if ord(one) in known else f"U+{ord(one):04X}" for one in cut)


def _wrapped(text: str) -> str:
    lines = textwrap.wrap(text, LABEL, max_lines=2, placeholder="...")
    return "\n".join(_label(line) for line in lines)


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
