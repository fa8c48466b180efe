"""A line chart as inline SVG, with the lines' names at their ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from pipeline.reporting.chart_labels import alone_in_line, spread_labels
from pipeline.reporting.page.markers import CIRCLE, draw_marker
from pipeline.reporting.page.svg import CHARACTER, Drawing, Scale, format_number, round_ticks

WIDTH, HEIGHT = 440, 290
LEFT, TOP, BOTTOM = 44, 30, 46
LABEL_GAP = 16
KEY = 12  # width of a marker beside a name


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: the name at its end; may be empty.
        points: x and y; a y that is not finite interrupts the line.
        color: a CSS colour.
        kind: the line's style.
        dots: whether points are marked, with their values as hints; a point that no line
            reaches always is.
        marker: the shape of these marks.
        bounds: the interval around each point, drawn as a band, or as an upright line around
            a point that no line reaches; None where there is none.
    """

    name: str
    points: Sequence[tuple[float, float]]
    color: str
    kind: Literal["strong", "thin", "dashed"] = "strong"
    dots: bool = False
    marker: str = CIRCLE
    bounds: Sequence[tuple[float, float] | None] = ()


@dataclass(frozen=True)
class Chart:
    """The title, axes and marks of a line chart.

    Attributes:
        name: the chart's name, unique on the page.
        title: the chart's title.
        description: its content in a sentence.
        x_label: the label below the chart.
        y_label: the label above the vertical axis, with its unit.
        x_ticks: positions and texts of the horizontal axis's ticks.
        marks: positions and names of vertical lines, e.g. the beginnings of tasks.
        from_zero: whether the vertical axis begins at 0.
        named: whether names stand at the lines' ends.
        keyed: whether their markers stand beside them.
    """

    name: str
    title: str
    description: str
    x_label: str
    y_label: str
    x_ticks: Sequence[tuple[float, str]]
    marks: Sequence[tuple[float, str]] = ()
    from_zero: bool = False
    named: bool = True
    keyed: bool = False


def draw_line_chart(chart: Chart, lines: Sequence[Line]) -> Markup:
    """Return the chart of lines, which together have at least one finite point."""
    drawing = Drawing(chart.name, WIDTH, HEIGHT, chart.title, chart.description)
    longest = max(len(line.name) for line in lines) if chart.named else 0
    key = KEY if chart.keyed else 0
    right = WIDTH - (16 + key + longest * CHARACTER if longest else 12)
    xs = [x for line in lines for x, _ in line.points] + [x for x, _ in chart.x_ticks]
    ys = [y for line in lines for _, y in line.points if math.isfinite(y)]
    ys += [bound for line in lines for bounds in line.bounds for bound in bounds or ()]
    y_ticks = round_ticks(min([*ys, 0.0]) if chart.from_zero else min(ys), max(ys))
    x = Scale(min(xs), max(xs), LEFT + 8, right - 4)
    y = Scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP + (16 if chart.marks else 4))

    decimals = next(d for d in range(12) if all(round(tick, d) == tick for tick in y_ticks))
    for value in y_ticks:
        drawing.add("line", "grid", x1=LEFT, y1=y(value), x2=right, y2=y(value))
        drawing.add("text", "end", f"{value:.{decimals}f}", x=LEFT - 6, y=y(value) + 4)
    for value, text in chart.x_ticks:
        drawing.add("text", "middle", text, x=x(value), y=HEIGHT - BOTTOM + 19)
    drawing.add("text", "muted", chart.y_label, x=0, y=13)
    drawing.add("text", "middle muted", chart.x_label, x=(LEFT + right) / 2, y=HEIGHT - 6)
    _draw_marks(drawing, chart.marks, x, right)
    for line in lines:
        _draw_bounds(drawing, line, x, y)
    for line in lines:
        _draw_line(drawing, line, x, y)
    if longest:
        _name_lines(drawing, [line for line in lines if line.name], x, y, key)
    return drawing.markup()


def _draw_marks(
    drawing: Drawing, marks: Sequence[tuple[float, str]], x: Scale, right: float
) -> None:
    """Draw vertical lines; names that do not fit are left out."""
    free = -math.inf
    for value, text in marks:
        drawing.add("line", "mark", x1=x(value), y1=TOP, x2=x(value), y2=HEIGHT - BOTTOM)
        start = x(value) + 3
        if start >= free and start + len(text) * CHARACTER <= right + 10:
            drawing.add("text", "muted small", text, x=start, y=TOP + 10)
            free = start + len(text) * CHARACTER + 4


def _draw_line(drawing: Drawing, line: Line, x: Scale, y: Scale) -> None:
    places = [(x(horizontal), y(vertical)) for horizontal, vertical in line.points]
    drawing.path(f"line {line.kind}", places, hint=line.name, color=line.color)
    values = [value for _, value in line.points]
    marked = range(len(values)) if line.dots else alone_in_line(values)
    radius = 4 if line.kind == "strong" else 2.5
    for index in marked:
        (horizontal, vertical), value = places[index], values[index]
        if math.isfinite(value):
            hint = f"{line.name} {format_number(value)}".strip()
            draw_marker(
                drawing, line.marker, horizontal, vertical, radius, hint=hint, color=line.color
            )


def _draw_bounds(drawing: Drawing, line: Line, x: Scale, y: Scale) -> None:
    """Draw bands between neighbouring points that have bounds, and lines around lonely ones."""
    lows = [math.nan if bounds is None else bounds[0] for bounds in line.bounds]
    alone = alone_in_line(lows)
    edges: list[tuple[float, float, float]] = []
    for index, ((across, _), bounds) in enumerate(zip(line.points, line.bounds, strict=False)):
        if bounds is not None and index not in alone:
            edges.append((x(across), y(bounds[0]), y(bounds[1])))
        elif bounds is not None:
            at, low, high = x(across), y(bounds[0]), y(bounds[1])
            drawing.add("line", "whisker", color=line.color, x1=at, y1=low, x2=at, y2=high)
        if edges and (bounds is None or index == len(line.bounds) - 1):
            around = [(at, low) for at, low, _ in edges]
            around += [(at, high) for at, _, high in reversed(edges)]
            drawing.path("band", around, hint=line.name, color=line.color)
            edges = []


def _name_lines(drawing: Drawing, lines: Sequence[Line], x: Scale, y: Scale, key: float) -> None:
    """Write each line's name beside its last finite point, behind ``key`` units for its marker."""
    ended = [
        (line, [(h, v) for h, v in line.points if math.isfinite(v)][-1])
        for line in lines
        if any(math.isfinite(v) for _, v in line.points)
    ]
    # Heights upwards: labels that would overlap are moved up.
    wanted = [HEIGHT - y(vertical) for _, (_, vertical) in ended]
    heights = spread_labels(wanted, LABEL_GAP)
    excess = max([0.0, *(height - (HEIGHT - TOP + 4) for height in heights)])
    for (line, _), height in zip(ended, heights, strict=True):
        weight = " bold" if line.kind == "strong" else ""
        place = HEIGHT - height + 4 + excess
        left = x.end + 10 + key
        drawing.add("text", f"name{weight}", line.name, color=line.color, x=left, y=place)
        if key:
            draw_marker(
                drawing, line.marker, x.end + 14, place - 4, 4, hint=line.name, color=line.color
            )
