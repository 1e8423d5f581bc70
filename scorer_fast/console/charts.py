"""Charts as SVG: plain shapes with classes, coloured by the style sheet; no script, no inline style. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe


class Line(NamedTuple):
    """One line of a chart: a value per slot, None where there is none; ``name`` is its class too."""

    name: str
    label: str
    values: Sequence[float | None]


class Mark(NamedTuple):
    """Something that happened: ``at`` in slots, a class and a text."""

    at: float
    kind: str
    text: str


LEFT, RIGHT, TOP, BOTTOM = 56, 8, 8, 22  # room for the axes of a large chart
LEGEND = 90  # width of one entry


def small(lines: Sequence[Line], marks: Iterable[Mark], title: str, *, top: float | None = None) -> SafeString:
    """A chart of 150 × 34 without axes; ``top``: the value of its upper edge, else logarithmic in what there is."""
    scale = _linear(top) if top is not None else _logarithmic(lines)
    return _svg(150, 34, (0, 2, 150, 30), lines, marks, title, scale, "small")


def large(
    lines: Sequence[Line],
    marks: Iterable[Mark],
    title: str,
    *,
    unit: str,
    times: Sequence[str],
    top: float | None = None,
) -> SafeString:
    """A chart of 720 × 240 with axes, ``times`` below it, and a legend."""
    scale = _linear(top) if top is not None else _logarithmic(lines)
    box = (LEFT, TOP + 20, 720 - LEFT - RIGHT, 240 - TOP - BOTTOM - 20)
    x, y, width, height = box
    axes = [
        format_html(
            '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>'
            '<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>',
            x, x + width, _n(y + height * (1 - at)), _n(y + height * (1 - at)), x - 6, _n(y + height * (1 - at) + 4),
            _time(float(label) / 1000) if unit == "ms" else f"{label} {unit}",
        )
        for at, label in scale.ticks()
    ]  # fmt: skip
    axes += [
        format_html(
            '<text class="axis" x="{}" y="{}" text-anchor="{}">{}</text>',
            _n(x + width * index / max(len(times) - 1, 1)), 240 - 6,
            "start" if index == 0 else "end" if index == len(times) - 1 else "middle", text,
        )
        for index, text in enumerate(times)
    ]  # fmt: skip
    axes += [
        format_html(
            '<line class="key {}" x1="{}" x2="{}" y1="14" y2="14"/><text class="axis" x="{}" y="18">{}</text>',
            line.name, x + index * LEGEND, x + index * LEGEND + 16, x + index * LEGEND + 20, line.label,
        )
        for index, line in enumerate(lines)
    ]  # fmt: skip
    return _svg(720, 240, box, lines, marks, title, scale, "large", mark_safe("".join(axes)))


def histogram(sides: Mapping[str, Mapping[float, int]], title: str) -> SafeString:
    """Both sides' latencies over each other: percent of a side's requests by upper bound of seconds, logarithmic."""
    totals = {name: sum(counts.values()) for name, counts in sides.items()}
    bounds = [bound for counts in sides.values() for bound in counts]
    if not bounds:
        return mark_safe('<p class="quiet">No requests in this period.</p>')
    low, high = math.floor(math.log10(min(bounds)) * 4) / 4 - 0.25, math.ceil(math.log10(max(bounds)) * 4) / 4
    columns = max(round((high - low) * 8), 1)
    shares: dict[str, list[float]] = {}
    for name, counts in sides.items():
        shares[name] = [0.0] * columns
        for bound, count in counts.items():
            index = min(int((math.log10(bound) - low) / (high - low) * columns - 1e-9), columns - 1)
            shares[name][max(index, 0)] += 100 * count / totals[name]
    most = max(max(values) for values in shares.values())
    x, y, width, height = LEFT, TOP + 20, 720 - LEFT - RIGHT, 240 - TOP - BOTTOM - 20
    bars = [
        format_html(
            '<rect class="bar {}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
            name, _n(x + width * index / columns + 1), _n(y + height * (1 - value / most)),
            _n(width / columns - 2), _n(height * value / most),
            f"{name}: {value:.1f} % within {_time(10 ** (low + (high - low) * (index + 1) / columns))}",
        )
        for name, values in shares.items()
        for index, value in enumerate(values)
        if value
    ]  # fmt: skip
    ticks = [
        format_html(
            '<text class="axis" x="{}" y="234" text-anchor="middle">{}</text>',
            _n(x + width * (exponent - low) / (high - low)), _time(10**exponent),
        )
        for exponent in range(math.ceil(low), math.floor(high) + 1)
    ]  # fmt: skip
    keys = [
        format_html(
            '<rect class="bar {}" x="{}" y="8" width="14" height="10"/><text class="axis" x="{}" y="18">{}</text>',
            name, x + index * 150, x + index * 150 + 20, f"{name}: {totals[name]} requests",
        )
        for index, name in enumerate(sides)
    ]  # fmt: skip
    return _frame(720, 240, title, "large", mark_safe("".join([*keys, *ticks, *bars])))


class _Scale(NamedTuple):
    low: float
    high: float
    log: bool

    def __call__(self, value: float) -> float:
        """Where a value lies, 0 to 1."""
        if self.log:
            value = math.log10(max(value, 1e-9))
        return min(max((value - self.low) / ((self.high - self.low) or 1), 0.0), 1.0)

    def ticks(self) -> list[tuple[float, str]]:
        if not self.log:
            return [(part / 4, f"{self.low + (self.high - self.low) * part / 4:g}") for part in range(5)]
        return [
            (self(10.0**exponent), f"{10.0**exponent:g}")
            for exponent in range(math.ceil(self.low), math.floor(self.high) + 1)
        ]


def _linear(top: float) -> _Scale:
    return _Scale(0.0, top, False)


def _logarithmic(lines: Sequence[Line]) -> _Scale:
    values = [value for line in lines for value in line.values if value]
    if not values:
        return _Scale(0.0, 2.0, True)
    return _Scale(math.floor(math.log10(min(values))), max(math.ceil(math.log10(max(values))), 1), True)


def _svg(
    width: int,
    height: int,
    box: tuple[int, int, int, int],
    lines: Sequence[Line],
    marks: Iterable[Mark],
    title: str,
    scale: _Scale,
    size: str,
    axes: SafeString = mark_safe(""),  # noqa: B008
) -> SafeString:
    x, y, inner, tall = box
    slots = max((len(line.values) for line in lines), default=1)
    step = inner / max(slots - 1, 1)
    shapes = [axes]
    shapes += [
        format_html(
            '<line class="mark {}" x1="{}" x2="{}" y1="{}" y2="{}"><title>{}</title></line>',
            mark.kind, _n(x + min(mark.at, slots - 1) * step), _n(x + min(mark.at, slots - 1) * step),
            y, y + tall, mark.text,
        )
        for mark in marks
        if 0 <= mark.at < slots
    ]  # fmt: skip
    for line in lines:
        for run in _runs(line.values):
            points = [f"{_n(x + index * step)},{_n(y + tall * (1 - scale(value)))}" for index, value in run]
            if len(points) == 1:
                cx, cy = points[0].split(",")
                shapes.append(format_html('<circle class="dot {}" cx="{}" cy="{}" r="2"/>', line.name, cx, cy))
            else:
                shapes.append(format_html('<polyline class="line {}" points="{}"/>', line.name, " ".join(points)))
    return _frame(width, height, title, size, format_html_join("", "{}", ((shape,) for shape in shapes)))


def _runs(values: Sequence[float | None]) -> Iterable[list[tuple[int, float]]]:
    """Stretches without a gap."""
    run: list[tuple[int, float]] = []
    for index, value in enumerate(values):
        if value is not None:
            run.append((index, value))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _frame(width: int, height: int, title: str, size: str, content: SafeString) -> SafeString:
    return format_html(
        '<svg class="chart {}" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>',
        size, width, height, title, title, content,
    )  # fmt: skip


def _n(number: float) -> str:
    return f"{number:.1f}"


def _time(seconds: float) -> str:
    """``9.6 ms``, ``1.2 s``."""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1000:.3g} ms" if seconds >= 0.001 else f"{seconds * 1e6:.3g} µs"
