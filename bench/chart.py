"""Bar charts as SVG, readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 760, 190, 70, 16, 8, 58

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .note, .tick { fill: #57606a; font-size: 11px }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .limit { stroke: #9a6700; stroke-width: 2 }
  .a { fill: #0969da } .b { fill: #8250df } .over { fill: #cf222e }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .note, .tick { fill: #9198a1 } .grid { stroke: #30363d }
    .limit { stroke: #d29922 } .a { fill: #58a6ff } .b { fill: #bc8cff } .over { fill: #ff7b72 }
  }
"""


class Bar(NamedTuple):
    """One bar: its name, its value, what is written behind it, and the limit it is held to, if any."""

    name: str
    value: float
    label: str
    limit: float | None = None


def bars(title: str, note: str, rows: Sequence[Bar], *, unit: str = "") -> str:
    """A chart of horizontal bars from zero; a bar over its limit has another colour."""
    height = TOP + len(rows) * (BAR + GAP) + 34
    largest = max(max(row.value, row.limit or 0) for row in rows)
    step = _step(largest)
    scale = (WIDTH - LEFT - RIGHT) / largest
    bottom = TOP + len(rows) * (BAR + GAP)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="12" y="22">{escape(title)}</text>',
        f'<text class="note" x="12" y="40">{escape(note)}</text>',
    ]
    tick = 0.0
    while tick <= largest * 1.0001:
        x = LEFT + tick * scale
        out.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{bottom}"/>')
        out.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}{unit}</text>')
        tick += step
    for place, row in enumerate(rows):
        y = TOP + place * (BAR + GAP)
        over = row.limit is not None and row.value > row.limit
        width = max(row.value * scale, 1)
        middle = y + BAR - 4
        out.append(f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{escape(row.name)}</text>')
        out.append(
            f'<rect class="{"over" if over else "a"}" x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>'
        )
        if row.limit is not None:
            x = LEFT + row.limit * scale
            out.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 2}" y2="{y + BAR + 2}"/>')
        out.append(f'<text class="note" x="{LEFT + width + 6:.1f}" y="{middle}">{escape(row.label)}</text>')
    return "\n".join([*out, "</svg>", ""])


def _step(largest: float) -> float:
    """A round distance of ticks: about six of them."""
    step = 1.0
    while largest / step > 60:
        step *= 10
    while largest / step < 6:
        step /= 10
    return next(step * factor for factor in (1, 2, 5, 10) if largest / (step * factor) <= 8)
