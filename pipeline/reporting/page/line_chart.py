"""A line chart as inline SVG, its lines named where they end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from pipeline.reporting.chart_labels import spread_labels
from pipeline.reporting.page.svg import CHARACTER, Drawing, Scale, format_number, round_ticks

WIDTH, HEIGHT = 440, 290
LEFT, TOP, BOTTOM = 44, 30, 46
LABEL_GAP = 16


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: written where it ends, unless empty.
        points: x and y; a y that is not finite interrupts the line.
        colour: as CSS has it.
        kind: how it is drawn.
        dots: whether its points are marked, with their values as hints.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    kind: Literal["strong", "thin", "dashed"] = "strong"
    dots: bool = False


@dataclass(frozen=True)
class Chart:
    """What surrounds the lines.

    Attributes:
        name: unique on the page.
        title: what the chart is.
        description: what it shows, in a sentence.
        x_label: below the chart.
        y_label: above the vertical axis, with its unit.
        x_ticks: where the horizontal axis is marked, and how.
        marks: vertical lines with a name, e.g. where tasks begin.
        from_zero: whether the vertical axis begins at 0.
    """

    name: str
    title: str
    description: str
    x_label: str
    y_label: str
    x_ticks: Sequence[tuple[float, str]]
    marks: Sequence[tuple[float, str]] = ()
    from_zero: bool = False


def draw_line_chart(chart: Chart, lines: Sequence[Line]) -> Markup:
    """Return a chart of lines that have at least one finite point between them."""
    drawing = Drawing(chart.name, WIDTH, HEIGHT, chart.title, chart.description)
    longest = max(len(line.name) for line in lines)
    right = WIDTH - (16 + longest * CHARACTER if longest else 12)
    xs = [x for line in lines for x, _ in line.points] + [x for x, _ in chart.x_ticks]
    ys = [y for line in lines for _, y in line.points if math.isfinite(y)]
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
        _draw_line(drawing, line, x, y)
    _name_lines(drawing, [line for line in lines if line.name], x, y)
    return drawing.markup()


def _draw_marks(
    drawing: Drawing, marks: Sequence[tuple[float, str]], x: Scale, right: float
) -> None:
    """Draw vertical lines; where the names do not fit, only some of them are written."""
    free = -math.inf
    for value, text in marks:
        drawing.add("line", "mark", x1=x(value), y1=TOP, x2=x(value), y2=HEIGHT - BOTTOM)
        start = x(value) + 3
        if start >= free and start + len(text) * CHARACTER <= right + 10:
            drawing.add("text", "muted small", text, x=start, y=TOP + 10)
            free = start + len(text) * CHARACTER + 4


def _draw_line(drawing: Drawing, line: Line, x: Scale, y: Scale) -> None:
    places = [(x(horizontal), y(vertical)) for horizontal, vertical in line.points]
    drawing.path(f"line {line.kind}", places, hint=line.name, colour=line.colour)
    alone = sum(math.isfinite(value) for _, value in line.points) == 1
    if not (line.dots or alone):
        return
    radius = 4 if line.kind == "strong" else 2.5
    for (horizontal, vertical), (_, value) in zip(places, line.points, strict=True):
        if math.isfinite(value):
            hint = f"{line.name} {format_number(value)}".strip()
            drawing.add(
                "circle", "dot", hint=hint, colour=line.colour, cx=horizontal, cy=vertical, r=radius
            )


def _name_lines(drawing: Drawing, lines: Sequence[Line], x: Scale, y: Scale) -> None:
    """Write each line's name beside its last finite point."""
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
        drawing.add("text", f"name{weight}", line.name, colour=line.colour, x=x.end + 10, y=place)
