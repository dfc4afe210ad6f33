"""Charts as SVG text without a library: readable offline, and in light and dark mode.

A linear axis begins at zero, and the title of a chart says if its axis is logarithmic. A missing value is a
gap in the line. Pure functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import ceil, floor, log10
from typing import TypeAlias

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 28, 56, 46

Point: TypeAlias = tuple[float, float | None]

STYLE = """
.chart { --ink: #1f2328; --faint: #d8dee4; --paper: #ffffff;
         --c0: #0b62b8; --c1: #b5480a; --c2: #1a7f4b; --c3: #7a3fa8; font: 13px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  .chart { --ink: #e6edf3; --faint: #373e47; --paper: #0d1117;
           --c0: #6cb2ff; --c1: #ffa35c; --c2: #59d08f; --c3: #cf9bff; } }
.chart .paper { fill: var(--paper); } .chart text { fill: var(--ink); }
.chart .title { font-weight: 600; font-size: 15px; }
.chart .grid { stroke: var(--faint); } .chart .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.chart .s0 { stroke: var(--c0); } .chart .s1 { stroke: var(--c1); }
.chart .s2 { stroke: var(--c2); } .chart .s3 { stroke: var(--c3); }
.chart .f0 { fill: var(--c0); } .chart .f1 { fill: var(--c1); }
.chart .f2 { fill: var(--c2); } .chart .f3 { fill: var(--c3); }
""".strip()
"""The CSS inside each chart, so that a chart also works as a separate file."""


@dataclass(frozen=True, slots=True)
class Line:
    """A named series of points."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: its label and how it writes values. `kind`: linear, log, or tail (spreads shares near 1)."""

    label: str
    write: Callable[[float], str]
    kind: str = "linear"


class Scale:
    """Maps values to coordinates, and places the ticks."""

    def __init__(self, axis: Axis, values: Sequence[float], start: float, end: float) -> None:
        self._axis = axis
        self._start, self._end = start, end
        if axis.kind == "tail":
            self.ticks = [0.0, 0.5, 0.9, 0.99, 0.999]
            low, high = 0.0, 0.999
        elif axis.kind == "log":
            positive = [value for value in values if value > 0] or [1.0]
            least, most = floor(log10(min(positive))), ceil(log10(max(positive)))
            self.ticks = [10.0**power for power in range(least, max(most, least + 1) + 1)]
            low, high = self.ticks[0], self.ticks[-1]
        else:
            self.ticks = round_ticks(max([*values, 0.0]))
            low, high = 0.0, self.ticks[-1]
        self._low, self._high = self._project(low), self._project(high)

    def _project(self, value: float) -> float:
        if self._axis.kind == "tail":
            return -log10(1 - min(value, 0.999))
        if self._axis.kind == "log":
            return log10(max(value, self.ticks[0]))
        return value

    def at(self, value: float) -> float:
        """The coordinate of a value."""
        share = (self._project(value) - self._low) / (self._high - self._low)
        return self._start + min(1.0, share) * (self._end - self._start)


def round_ticks(most: float) -> list[float]:
    """Four to eight round values from zero to at least `most`."""
    if most <= 0:
        return [0.0, 1.0]
    power = 10.0 ** floor(log10(most))
    step = next(power * part for part in (0.2, 0.25, 0.5, 1, 2) if most / (power * part) <= 6)
    return [n * step for n in range(ceil(most / step - 1e-9) + 1)]


def line_chart(title: str, lines: Sequence[Line], x: Axis, y: Axis) -> str:
    """Lines over a common axis."""
    xs = [at for line in lines for at, _ in line.points]
    ys = [value for line in lines for _, value in line.points if value is not None]
    across = Scale(x, xs, LEFT, WIDTH - RIGHT)
    upward = Scale(y, ys, HEIGHT - BOTTOM, TOP)
    drawn = [
        f'<polyline class="line s{index}" points="{points}"/>'
        for index, line in enumerate(lines)
        for points in _strokes(line.points, across, upward)
    ]
    ticks = "".join(_below(across.at(tick), x.write(tick)) for tick in across.ticks)
    return _picture(
        title, [line.name for line in lines], _levels(upward, y) + ticks + "".join(drawn), x.label, y
    )


def bar_chart(
    title: str, groups: Sequence[str], lines: Sequence[tuple[str, Sequence[float | None]]], y: Axis
) -> str:
    """Groups of bars, each with its value above it. Each line has one value for each group."""
    upward = Scale(y, [value for _, values in lines for value in values if value], HEIGHT - BOTTOM, TOP + 12)
    group_width = (WIDTH - LEFT - RIGHT) / len(groups)
    width = group_width * 0.8 / len(lines)
    drawn = []
    for place, group in enumerate(groups):
        left = LEFT + place * group_width + group_width * 0.1
        middle = left + group_width * 0.4
        drawn.append(_below(middle, group))
        for index, (_, values) in enumerate(lines):
            value = values[place]
            if value is not None:
                drawn.append(_bar(left + index * width, width, upward.at(value), index, y.write(value)))
    return _picture(title, [name for name, _ in lines], _levels(upward, y) + "".join(drawn), "", y)


def _below(x: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{escape(text)}</text>'


def _bar(left: float, width: float, top: float, index: int, text: str) -> str:
    return (
        f'<rect class="f{index}" x="{left + 1:.1f}" y="{top:.1f}" width="{width - 2:.1f}" '
        f'height="{HEIGHT - BOTTOM - top:.1f}"/>'
        f'<text x="{left + width / 2:.1f}" y="{top - 4:.1f}" text-anchor="middle" font-size="10">'
        f"{escape(text)}</text>"
    )


def _strokes(points: Sequence[Point], across: Scale, upward: Scale) -> list[str]:
    """The parts of a line between gaps; a single point becomes a short dash."""
    strokes: list[list[str]] = [[]]
    for at, value in points:
        if value is None:
            strokes.append([])
        else:
            strokes[-1].append(f"{across.at(at):.1f},{upward.at(value):.1f}")
    dashes = []
    for stroke in strokes:
        if len(stroke) == 1:
            x, _, y = stroke[0].partition(",")
            dashes.append(f"{float(x) - 2:.1f},{y} {float(x) + 2:.1f},{y}")
        elif stroke:
            dashes.append(" ".join(stroke))
    return dashes


def _levels(upward: Scale, y: Axis) -> str:
    drawn = []
    for tick in upward.ticks:
        level = upward.at(tick)
        drawn.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level:.1f}" y2="{level:.1f}"/>'
            f'<text x="{LEFT - 8}" y="{level + 4:.1f}" text-anchor="end">{escape(y.write(tick))}</text>'
        )
    return "".join(drawn)


def _picture(title: str, names: Sequence[str], inside: str, below: str, y: Axis) -> str:
    scale = f"{y.label}, logarithmic" if y.kind == "log" else y.label
    middle = (LEFT + WIDTH - RIGHT) // 2
    ends = [0.0]
    for name in names:
        ends.append(ends[-1] + 34 + 7.2 * len(name))
    legend = "".join(
        f'<rect class="f{index}" x="{LEFT + start:.1f}" y="33" width="14" height="4"/>'
        f'<text x="{LEFT + start + 19:.1f}" y="40">{escape(name)}</text>'
        for index, (name, (start, _)) in enumerate(zip(names, pairwise(ends), strict=True))
    )
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>'
        f'<text class="title" x="{LEFT}" y="20">{escape(title)} ({escape(scale)})</text>{legend}{inside}'
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(below)}</text></svg>'
    )
