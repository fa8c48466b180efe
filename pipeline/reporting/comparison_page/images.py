"""A comparison's figures as PNG."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.reporting.chart_labels import alone_in_line, shorten_label
from pipeline.reporting.comparing.comparison import Comparison
from pipeline.reporting.comparison_page.charts import (
    Figure,
    IntervalChart,
    IntervalRow,
    Series,
    SeriesChart,
    Style,
)
from pipeline.reporting.comparison_page.figures import KEYS, draw_figures
from pipeline.reporting.plots import COLORS, make_figure, save_figure
from pipeline.reporting.text_formats import escape_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# In matplotlib's words, by the names of the page's markers.
MARKERS = {
    "circle": "o", "square": "s", "diamond": "D", "up": "^", "down": "v", "plus": "P", "cross": "X",
}  # fmt: skip
# Inches.
PANEL = 6.0  # across of a chart
LANE, HEADING, CAP = 0.42, 0.3, 0.06  # down of a row and of a method's name; of an interval's end
ABOVE, BELOW = 0.3, 0.55  # a chart: its title, its axis
EDGE, SERIES_LEFT = 0.15, 0.75  # beside a chart
TITLE, LINE, SERIES_HEIGHT = 0.5, 0.2, 4.2
# Characters of a chart's width.
NAME_ROOM, LEGEND_ROOM, TITLE_ROOM = 70, 34, 75
KEYS_ACROSS = 2  # columns of the legend below a chart


def write_images(comparison: Comparison, path: Path) -> list[Path]:
    """Write each figure of each table beside a path, and return the files.

    ``comparison_differences.png``; of several tables ``comparison_table_2_differences.png`` is
    the second one's. Images of these names that an earlier comparison wrote there are removed.

    Args:
        comparison: the comparison.
        path: its name without suffix is what the names begin with.
    """
    written = []
    for number, table in enumerate(comparison.tables, start=1):
        for figure in draw_figures(comparison, table):
            if figure.charts:
                middle = f"_table_{number}" if len(comparison.tables) > 1 else ""
                file = path.with_name(f"{path.stem}{middle}_{name_key(figure.key)}.png")
                _write_image(figure, table.title, file)
                written.append(file)
    _remove_others(path, written)
    return written


def name_key(key: str) -> str:
    """Return a figure's name as files have it."""
    return key.replace("-", "_")


def _remove_others(path: Path, written: Sequence[Path]) -> None:
    """Remove the images of an earlier comparison that this one has no figure for."""
    keys = "|".join(map(name_key, KEYS))
    ours = re.compile(rf"{re.escape(path.stem)}(_table_\d+)?_({keys})\.png")
    for found in path.parent.iterdir():
        if ours.fullmatch(found.name) and found not in written:
            found.unlink()


def _write_image(figure: Figure, about: str, path: Path) -> None:
    charts = figure.charts
    across = min(2, len(charts))
    rows = [charts[start : start + across] for start in range(0, len(charts), across)]
    heights = [max(map(_height, row)) for row in rows]
    keyed = [chart for chart in charts if isinstance(chart, SeriesChart)]
    names = {series.name: series.style for chart in keyed for series in chart.series}
    legend = LINE * math.ceil(len(names) / (KEYS_ACROSS * across)) + LINE if names else 0.0
    width, height = PANEL * across, TITLE + sum(heights) + legend
    # Every place is known beforehand, and a layout that is searched for takes twice the time.
    drawn = make_figure(width, height, layout=None)
    top = height - TITLE
    for row, tall in zip(rows, heights, strict=True):
        top -= tall
        for column, chart in enumerate(row):
            left = SERIES_LEFT if isinstance(chart, SeriesChart) else EDGE
            place = (column * PANEL + left, top + BELOW, PANEL - left - EDGE, tall - BELOW - ABOVE)
            axes = drawn.add_axes(
                (place[0] / width, place[1] / height, place[2] / width, place[3] / height)
            )
            if isinstance(chart, IntervalChart):
                _draw_intervals(axes, chart)
            else:
                _draw_series(axes, chart)
            if len(charts) > 1:
                axes.set_title(escape_plot(chart.title), fontsize=9)
    lines = [shorten_label(line, TITLE_ROOM * across) for line in (figure.title, about)]
    title = "\n".join(map(escape_plot, lines))
    drawn.suptitle(title, fontsize=10, y=1 - 0.08 / height, va="top")
    if names:
        handles = [_make_key(style) for style in names.values()]
        labels = [escape_plot(shorten_label(name, LEGEND_ROOM)) for name in names]
        columns = KEYS_ACROSS * across
        drawn.legend(handles, labels, loc="lower center", ncols=columns, fontsize=8)
    save_figure(drawn, path)


def _height(chart: IntervalChart | SeriesChart) -> float:
    """Return the height of a chart with its axis and title, in inches."""
    if isinstance(chart, SeriesChart):
        return SERIES_HEIGHT
    rows = sum(len(members) for _, members in chart.groups)
    headings = len(chart.groups) if len(chart.groups) > 1 else 0
    return ABOVE + BELOW + LANE * rows + HEADING * headings


def _color(style: Style) -> str:
    return COLORS[style.index % len(COLORS)]


def _draw_intervals(axes: Axes, chart: IntervalChart) -> None:
    """Draw rows from the top, each with its name and numbers above its line."""
    headed = len(chart.groups) > 1
    placed: list[tuple[IntervalRow, float]] = []
    top = 0.0
    for heading, members in chart.groups:
        if headed:
            _write(axes, shorten_label(heading, NAME_ROOM), top + 0.7 * HEADING, weight="bold")
            top += HEADING
        for row in members:
            placed.append((row, top + 0.7 * LANE))
            name = shorten_label(row.name, max(8, NAME_ROOM - len(row.text)))
            _write(axes, name, top + 0.3 * LANE)
            _write(axes, row.text, top + 0.3 * LANE, right=True)
            top += LANE
    if chart.zero:
        ends = [0.2 * LANE, -0.2 * LANE, math.nan]
        axes.plot([0] * 3 * len(placed), [y + end for _, y in placed for end in ends], color="0.3")
    _draw_rows(axes, placed)
    axes.set_ylim(top, 0)
    axes.set_yticks([])
    if chart.ticks is not None:
        axes.set_xticks(chart.ticks)
        axes.set_xlim(chart.ticks[0] - 0.3, chart.ticks[-1] + 0.3)
    axes.set_xlabel(escape_plot(chart.label), fontsize=9)
    axes.grid(axis="x", alpha=0.3)


def _draw_rows(axes: Axes, placed: Sequence[tuple[IntervalRow, float]]) -> None:
    """Draw the intervals, the seeds and the markers of rows at their heights."""
    spans = [(*row.bounds, y, _color(row.style)) for row, y in placed if row.bounds is not None]
    if spans:
        lows, highs, heights, colors = zip(*spans, strict=True)
        axes.hlines(heights, lows, highs, colors=colors, linewidth=2, zorder=2)
        for ends in (lows, highs):
            below, above = [y - CAP for y in heights], [y + CAP for y in heights]
            axes.vlines(ends, below, above, colors=colors, linewidth=1.5, zorder=2)
    seeds = [(point, y, _color(row.style)) for row, y in placed for point in row.points]
    if seeds:
        points, heights, colors = zip(*seeds, strict=True)
        axes.scatter(points, heights, s=12, c="white", edgecolors=colors, zorder=3)
    for row, y in placed:
        marker = MARKERS[row.style.marker]
        axes.plot(row.value, y, marker, color=_color(row.style), markersize=7, zorder=4)


def _write(axes: Axes, text: str, y: float, right: bool = False, weight: str = "normal") -> None:
    """Write a text at the left or the right edge, at a height of the rows."""
    axes.text(
        0.99 if right else 0.01,
        y,
        escape_plot(text),
        transform=axes.get_yaxis_transform(),
        ha="right" if right else "left",
        va="center",
        fontsize=8,
        fontweight=weight,
    )


def _draw_series(axes: Axes, chart: SeriesChart) -> None:
    for series in chart.series:
        color, marker = _color(series.style), MARKERS[series.style.marker]
        xs, ys = zip(*series.points, strict=True)
        axes.plot(xs, ys, f"{marker}-", color=color, markersize=5, zorder=3)
        _draw_bounds(axes, series, color)
    axes.set_xticks(*zip(*chart.x_ticks, strict=True))
    axes.set_xlabel(chart.x_label, fontsize=9)
    axes.set_ylabel(chart.y_label, fontsize=9)
    axes.grid(axis="y", alpha=0.3)


def _draw_bounds(axes: Axes, series: Series, color: str) -> None:
    """Draw bands between neighbours that have bounds, and lines around lonely ones."""
    xs = [x for x, _ in series.points]
    lows = [math.nan if bounds is None else bounds[0] for bounds in series.bounds]
    highs = [math.nan if bounds is None else bounds[1] for bounds in series.bounds]
    alone = alone_in_line(lows)
    if len(alone) < sum(map(math.isfinite, lows)):
        axes.fill_between(xs, lows, highs, color=color, alpha=0.16, linewidth=0, zorder=1)
    for index in alone:
        axes.plot([xs[index]] * 2, [lows[index], highs[index]], color=color, linewidth=1.2)


def _make_key(style: Style) -> Line2D:
    """Return a strategy's line in the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=_color(style), marker=MARKERS[style.marker], markersize=5)
