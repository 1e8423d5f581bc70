"""``make charts``: draws docs/img/ from bench/results.json, a light and a dark SVG of each chart.

matplotlib is needed here and nowhere else (requirements-docs.txt). Each file carries the mark of the figures
it shows, so that a test can tell an old one without matplotlib.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results.json"
IMAGES = ROOT / "docs" / "img"


class Theme(NamedTuple):
    """Colours of a page, and of the three sides: the host, the fast path, the floor."""

    text: str
    grid: str
    host: str
    fast: str
    floor: str


THEMES = {
    "light": Theme("#24292f", "#d0d7de", "#8c959f", "#0969da", "#bf8700"),
    "dark": Theme("#e6edf3", "#30363d", "#768390", "#58a6ff", "#e3b341"),
}


def latency_figures(results: dict[str, Any]) -> dict[str, Any]:
    """p50 in milliseconds, one client, steady: of the floor, and per operation of the host and the fast path."""
    return {
        "floor": results["floor"]["c1"]["p50_ms"],
        "operations": {
            name: {"host": results["baseline"][name]["c1"]["p50_ms"], "fast": states["steady"]["c1"]["p50_ms"]}
            for name, states in results["operations"].items()
        },
    }


def growth_figures(results: dict[str, Any]) -> dict[str, Any]:
    """p50 in milliseconds by the stamps of an address, and by the addresses in the tables."""
    return {
        "stamps": results["stamps"]["p50_ms"],
        "addresses": results["addresses"]["addresses"],
        "operations": {
            name: {"few": of["few_p50_ms"], "many": of["many_p50_ms"]}
            for name, of in results["addresses"]["operations"].items()
        },
    }


FIGURES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"latency": latency_figures, "growth": growth_figures}


def mark(figures: dict[str, Any]) -> str:
    """What a chart of these figures carries in its metadata."""
    return "figures " + hashlib.sha256(json.dumps(figures, sort_keys=True).encode()).hexdigest()[:16]


def written(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds >= 1 else f"{milliseconds:.2f}"


def draw_latency(figures: dict[str, Any], theme: Theme) -> Any:
    """A row per operation: a dot for the fast path, a dot for the host, a line between; the floor as a line."""
    from matplotlib import pyplot
    from matplotlib.ticker import FixedLocator, NullLocator

    rows = list(figures["operations"].items())[::-1]
    figure, axes = pyplot.subplots(figsize=(8.4, 0.31 * len(rows) + 1.5), layout="constrained")
    for place, (_, of) in enumerate(rows):
        axes.plot([of["fast"], of["host"]], [place, place], color=theme.grid, linewidth=3, zorder=1)
    for side, name in (("host", "host"), ("fast", "fast path")):
        values = [of[side] for _, of in rows]
        axes.scatter(values, range(len(rows)), s=42, color=getattr(theme, side), label=name, zorder=3)
    axes.axvline(figures["floor"], color=theme.floor, linewidth=1.5, linestyle="--", zorder=2,
                 label=f"floor: the server answering SELECT 1, {figures['floor']:.2f} ms")  # fmt: skip
    axes.set_xscale("log")
    everything = [value for _, of in rows for value in of.values()]
    axes.set_xlim(min(everything) / 1.3, max(everything) * 1.3)
    axes.xaxis.set_major_locator(FixedLocator([0.5, 1, 2, 5, 10, 20, 50, 100, 200]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    numbers = axes.secondary_yaxis("right")  # beside the plot, where no mark runs through them
    numbers.set_yticks(range(len(rows)), [f"{written(of['host'])} \u2192 {written(of['fast'])} ms" for _, of in rows])
    numbers.tick_params(length=0)
    numbers.spines["right"].set_visible(False)
    axes.set_xlabel("p50 in milliseconds, one client, addresses scored before (logarithmic)")
    axes.grid(axis="x")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure


def draw_growth(figures: dict[str, Any], theme: Theme) -> Any:
    """Left: a score by the stamps of the address. Right: operations by the addresses in the tables."""
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8.4, 3.9), layout="constrained")
    counts, times = [int(count) for count in figures["stamps"]], list(figures["stamps"].values())
    left.plot(counts, times, marker="o", color=theme.fast)
    for count, value in zip(counts, times, strict=True):
        below = count == counts[0]
        left.annotate(f"{value:.2f}", (count, value), xytext=(0, -14 if below else 8), textcoords="offset points",
                      ha="center", fontsize=8)  # fmt: skip
    left.set_xlabel("stamps of the address")
    left.set_ylabel("p50 of v2_score, ms")
    left.set_ylim(0, max(times) * 1.25)
    left.set_xticks(counts)
    few, many = figures["addresses"]["few"], figures["addresses"]["many"]
    names = list(figures["operations"])[::-1]
    for place, name in enumerate(names):
        of = figures["operations"][name]
        right.barh(place + 0.19, of["few"], 0.34, color=theme.host, label=f"{few:,} addresses" if not place else None)
        right.barh(place - 0.19, of["many"], 0.34, color=theme.fast, label=f"{many:,} addresses" if not place else None)
    right.set_yticks(range(len(names)), names)
    right.set_xlabel("p50 in milliseconds")
    right.legend(frameon=False, loc="lower right", fontsize=8)
    right.grid(axis="x")  # on the left the values are written down, and no line runs through them
    return figure


DRAWN: dict[str, Callable[[dict[str, Any], Theme], Any]] = {"latency": draw_latency, "growth": draw_growth}


def style(theme: Theme) -> dict[str, Any]:
    return {
        "axes.axisbelow": True,
        "axes.edgecolor": theme.grid,
        "axes.labelcolor": theme.text,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "font.size": 9,
        "grid.color": theme.grid,
        "grid.linewidth": 0.6,
        "svg.hashsalt": "scorer_fast",  # the same figures, the same file
        "text.color": theme.text,
        "xtick.color": theme.text,
        "ytick.color": theme.text,
    }


def main() -> None:
    import matplotlib as mpl
    from matplotlib import pyplot

    mpl.use("svg")
    results = json.loads(RESULTS.read_text())
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, of in FIGURES.items():
        figures = of(results)
        for kind, theme in THEMES.items():
            file = IMAGES / f"{name}-{kind}.svg"
            with mpl.rc_context(style(theme)):
                figure = DRAWN[name](figures, theme)
                figure.savefig(file, metadata={"Date": None, "Description": mark(figures)})
                pyplot.close(figure)
            print(file.relative_to(ROOT))


if __name__ == "__main__":
    main()
