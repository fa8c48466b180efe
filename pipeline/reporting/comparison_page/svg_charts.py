"""A comparison's charts as inline SVG, in the style of the report page."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from markupsafe import Markup

from pipeline.reporting.chart_labels import shorten_label
from pipeline.reporting.comparison_page.charts import (
    IntervalChart,
    IntervalRow,
    SeriesChart,
    Style,
)
from pipeline.reporting.page.line_chart import Chart, Line, draw_line_chart
from pipeline.reporting.page.markers import draw_marker
from pipeline.reporting.page.svg import CHARACTER, Drawing, Scale, round_ticks

WIDTH = 440
EDGE = 14  # beside the axis, for half of a number below it
HEADING, NAME, LANE, AXIS = 26, 18, 22, 44
ROOM = int(WIDTH / CHARACTER)  # characters of a row's name and its numbers
NAME_ROOM = 14  # of a strategy at the end of its line
PARAM = re.compile(r"[\w.]+=")  # of an option; its value stays
MOST_NAMED = 12  # lines whose names fit beside each other
KEY_SIZE = 14


def draw_chart(chart: IntervalChart | SeriesChart, prefix: str) -> Markup:
    """Return a chart as SVG.

    Args:
        chart: the chart.
        prefix: what its name begins with, so that it is unique on the page.
    """
    if isinstance(chart, IntervalChart):
        return _draw_intervals(chart, prefix)
    return _draw_series(chart, prefix)


def draw_key(style: Style, name: str) -> Markup:
    """Return a strategy's marker in its colour, for a legend; ``name`` is unique on the page."""
    drawing = Drawing(name, KEY_SIZE, KEY_SIZE, "marker", f"A {style.marker} marks this strategy.")
    middle = KEY_SIZE / 2
    draw_marker(drawing, style.marker, middle, middle, 5, hint="", color=style.color)
    return drawing.markup()


def _draw_series(chart: SeriesChart, prefix: str) -> Markup:
    lines = [
        Line(
            shorten_label(PARAM.sub("", series.name), NAME_ROOM),
            series.points,
            series.style.color,
            "strong",
            dots=True,
            marker=series.style.marker,
            bounds=series.bounds,
        )
        for series in chart.series
    ]
    ends = "; ".join(
        f"{series.name} {_last(series.points)}" for series in chart.series if series.points
    )
    described = Chart(
        name=f"{prefix}-{chart.name}",
        title=chart.title,
        description=f"{chart.y_label} by {chart.x_label}, at the right end: {ends}.",
        x_label=chart.x_label,
        y_label=chart.y_label,
        x_ticks=chart.x_ticks,
        named=len(lines) <= MOST_NAMED,
        keyed=True,
    )
    return draw_line_chart(described, lines)


def _last(points: Sequence[tuple[float, float]]) -> str:
    finite = [value for _, value in points if math.isfinite(value)]
    return f"{finite[-1]:.2f}" if finite else "not measured"


def _draw_intervals(chart: IntervalChart, prefix: str) -> Markup:
    rows = [row for _, members in chart.groups for row in members]
    headed = len(chart.groups) > 1
    height = len(rows) * (NAME + LANE) + AXIS + (HEADING * len(chart.groups) if headed else 0)
    described = "; ".join(
        f"{f'{heading}, ' if headed else ''}{row.name}: {row.text}"
        for heading, members in chart.groups
        for row in members
    )
    drawing = Drawing(f"{prefix}-{chart.name}", WIDTH, height, chart.title, f"{described}.")
    ticks = chart.ticks or round_ticks(*span_values(chart))
    x = Scale(ticks[0], ticks[-1], EDGE, WIDTH - EDGE)
    bottom = height - AXIS + 4
    decimals = next(d for d in range(12) if all(round(tick, d) == tick for tick in ticks))
    for tick in ticks:
        text = f"{tick:.{decimals}f}".replace("-", "−")
        drawing.add("text", "middle", text, x=x(tick), y=bottom + 17)
    drawing.add("text", "middle muted", chart.label, x=WIDTH / 2, y=height - 6)
    top = 0.0
    for heading, members in chart.groups:
        if headed:
            drawing.add("text", "bold", shorten_label(heading, ROOM), x=0, y=top + 17)
            top += HEADING
        for row in members:
            for tick in ticks:
                kind = "zero" if chart.zero and tick == 0 else "grid"
                above, below = top + NAME, top + NAME + LANE - 3
                drawing.add("line", kind, x1=x(tick), y1=above, x2=x(tick), y2=below)
            _draw_row(drawing, row, x, top)
            top += NAME + LANE
    return drawing.markup()


def span_values(chart: IntervalChart) -> tuple[float, float]:
    """Return the lowest and the highest value that a chart shows."""
    rows = [row for _, members in chart.groups for row in members]
    shown = [value for row in rows for value in (row.value, *(row.bounds or ()), *row.points)]
    shown += [0.0] if chart.zero else []
    return min(shown), max(shown)


def _draw_row(drawing: Drawing, row: IntervalRow, x: Scale, top: float) -> None:
    """Draw name and numbers, and below them the seeds, the interval and the marker."""
    room = max(8, ROOM - len(row.text) - 1)
    color, middle = row.style.color, top + NAME + LANE / 2 - 2
    drawing.add("text", "", shorten_label(row.name, room), x=0, y=top + 14)
    drawing.add("text", "end", row.text, x=WIDTH, y=top + 14)
    hint = f"{row.name}: {row.text}"
    if row.bounds is not None:
        low, high = map(x, row.bounds)
        drawing.add(
            "line", "interval", color=color, hint=hint, x1=low, y1=middle, x2=high, y2=middle
        )
        for end in (low, high):
            drawing.add("line", "cap", color=color, x1=end, y1=middle - 5, x2=end, y2=middle + 5)
    for point in row.points:
        drawing.add("circle", "seed", color=color, cx=x(point), cy=middle, r=2.5)
    draw_marker(drawing, row.style.marker, x(row.value), middle, 5, hint=hint, color=color)
