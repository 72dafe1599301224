"""What a run found, as tables, and as the page of the documentation."""

import json
import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .measure import FIGURES, Figure

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "benchmarks" / "run.json"
"""The run that the documentation shows."""

PAGE = ROOT / "docs" / "explanation" / "speed.md"

_PART = r"(?s)(<!-- {name} -->\n).*?(<!-- /{name} -->)"


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown that is easy to read as text too."""
    lines = [list(headers), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    texts = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([texts[0], rule, *texts[1:]]) + "\n"


def number(value: float) -> str:
    """Return a figure with three digits that count."""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2f}"


def spread(values: Sequence[float]) -> str:
    """Return the median of the rounds, and the least and the greatest."""
    if not values:
        return "failed"
    middle = number(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({number(min(values))}-{number(max(values))})"


def comparison(run: dict[str, Any]) -> str:
    """Return the table of the figures of all peers."""
    headers = ["", *(f"{figure.title}, {figure.unit.strip()}" for figure in FIGURES)]
    return table(
        headers,
        (
            [entry["title"], *(spread(entry["figures"].get(figure.name, [])) for figure in FIGURES)]
            for entry in run["peers"]
        ),
    )


def setups(run: dict[str, Any]) -> str:
    """Return the table of how each peer was set up."""
    return table(
        ["", "versions", "set up"],
        (
            [
                entry["title"],
                ", ".join(f"{name} {number}" for name, number in entry["versions"].items()),
                entry["setup"],
            ]
            for entry in run["peers"]
        ),
    )


def machine(run: dict[str, Any]) -> str:
    """Return the table of what it ran on."""
    facts = {
        **run["machine"],
        "waiting tasks": f"{run['size']:,}",
        "rounds": str(run["rounds"]),
        "load before": f"{run['load']:.2f}",
    }
    return table(["", ""], ([name, value] for name, value in facts.items()))


def median_of(entry: dict[str, Any], figure: Figure) -> float | None:
    """Return a figure's median over the rounds, None where it failed."""
    values = entry["figures"].get(figure.name)
    return statistics.median(values) if values else None


def with_figures(page: str, run: dict[str, Any]) -> str:
    """Return the page with the run's tables between its marks."""
    for name, text in (
        ("figures", comparison(run)),
        ("setups", setups(run)),
        ("machine", machine(run)),
    ):
        pattern = _PART.format(name=name)
        page = re.sub(pattern, lambda match, text=text: f"{match[1]}{text}{match[2]}", page)
    return page


def publish(run: dict[str, Any]) -> None:
    """Renew what the documentation shows."""
    from .picture import draw

    RUN.write_text(json.dumps(run, indent=1) + "\n")
    PAGE.write_text(with_figures(PAGE.read_text(), run))
    draw(run, PAGE.parent)
