"""The picture of a run, for a light and a dark page."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from .measure import PICTURED, Figure
from .report import median_of, number

_THEMES = {
    "light": {"paper": "#ffffff", "ink": "#1f2328", "faint": "#d1d9e0", "own": "#0969da"},
    "dark": {"paper": "#0d1117", "ink": "#e6edf3", "faint": "#30363d", "own": "#4493f8"},
}


def draw(run: dict[str, Any], directory: Path) -> None:
    """Write ``speed-light.svg`` and ``speed-dark.svg``."""
    for theme, colours in _THEMES.items():
        with matplotlib.rc_context({**_style(colours), "svg.hashsalt": "speed"}):
            figure = _figure(run, colours)
            figure.savefig(directory / f"speed-{theme}.svg", metadata={"Date": None})
            pyplot.close(figure)


def _style(colours: dict[str, str]) -> dict[str, Any]:
    ink = dict.fromkeys(
        ("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), colours["ink"]
    )
    return {
        **ink,
        "figure.facecolor": colours["paper"],
        "axes.facecolor": colours["paper"],
        "axes.edgecolor": colours["faint"],
        "grid.color": colours["faint"],
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 10,
    }


def _figure(run: dict[str, Any], colours: dict[str, str]) -> Any:
    height = 1.2 + 0.32 * len(run["peers"])
    picture, axes = pyplot.subplots(
        1, len(PICTURED), sharey=True, figsize=(11, height), layout="constrained"
    )
    for axis, figure in zip(axes, PICTURED, strict=True):
        _panel(axis, figure, run["peers"], colours)
    axes[0].set_yticks(range(len(run["peers"])), [entry["title"] for entry in run["peers"]])
    axes[0].invert_yaxis()
    return picture


def _panel(
    axis: Axes, figure: Figure, entries: list[dict[str, Any]], colours: dict[str, str]
) -> None:
    """Show each peer's median as a dot, the rounds' spread as a line; each step is a tenfold."""
    better = "more is better" if figure.more_is_better else "less is better"
    axis.set_title(f"{figure.title} ({figure.unit.strip()}; {better})", fontsize=10)
    axis.set_xscale("log")
    axis.grid(axis="x")
    axis.set_axisbelow(True)
    axis.minorticks_off()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.margins(x=0.25)
    for row, entry in enumerate(entries):
        middle = median_of(entry, figure)
        if middle is None:
            continue
        colour = colours["own"] if entry["name"].startswith("spooler") else colours["ink"]
        values = entry["figures"][figure.name]
        axis.plot([min(values), max(values)], [row, row], color=colour, linewidth=1.5)
        axis.plot(middle, row, "o", color=colour)
        axis.annotate(
            number(middle),
            (middle, row),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=colour,
        )
