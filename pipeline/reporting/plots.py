"""Plots as PNG: the matrix, the accuracy over the tasks, loss terms and projections."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.artifacts.training_log import list_losses
from pipeline.files.atomic import write_bytes
from pipeline.metrics.accuracy_matrix import average_measured
from pipeline.reporting.chart_labels import alone_in_line, spread_labels, wrap_label
from pipeline.reporting.gaps import format_cell
from pipeline.reporting.results import Results
from pipeline.reporting.start import name_start
from pipeline.reporting.task_begins import find_begins
from pipeline.reporting.text_formats import escape_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito's
MOST_NAMED = 20  # tasks that are all named in a plot; names of more would overlap
MOST_BESIDE = 8  # of more tasks, names that stand beside each other in one line
MOST_NUMBERED = 12  # states whose means are all written beside each other
MOST_WRAPPED = 10  # tasks below which names stand upright, in several lines
WRAP_ROOM = 12  # characters of such a line
END_ROOM = 16  # characters of a name at the end of a task's line
END_WIDTH = 0.0115  # of the plot, by each of these
MARKS_ROOM = 70  # characters of all names where tasks begin


def make_figure(
    width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """Return an empty figure; width and height in inches."""
    # This import takes half of a report's time; a report without inputs fails before it.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; the same figure gives the same bytes."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        # A name may have characters that the font lacks; an empty box stands for each.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # No software version in the file: the same results give the same bytes.
        figure.savefig(content, format="png", dpi=120, metadata={"Software": None})
    write_bytes(path, content.getvalue())


def draw_no_accuracies(path: Path) -> None:
    """Draw that there are none, in place of ``draw_accuracy_...``: DVC expects the files."""
    figure = make_figure(4.8, 1.2)
    figure.text(0.5, 0.5, "no accuracy was measured", ha="center", va="center")
    save_figure(figure, path)


def draw_accuracy_matrix(results: Results, path: Path) -> None:
    """Draw the accuracy matrix as a heatmap with numbers; a white line frames learnt tasks.

    A cell that was not measured is grey with a dash.
    """
    columns = results.tested_on
    tasks, rows = len(columns), len(results.matrix)
    by_task = tasks == results.num_tasks and not results.at_once
    named = tasks <= MOST_NAMED
    width = max(2.6 + 0.85 * min(tasks, MOST_NAMED), 4.8)  # the title's
    figure = make_figure(width, 1.9 + 0.5 * min(rows, MOST_NAMED))
    axes = figure.add_subplot()
    if results.has_gaps:
        axes.set_facecolor("0.85")  # seen where there is no number
    shown = [_finite_or_nan(row) for row in results.shown]
    image = axes.imshow(shown, cmap="cividis", aspect="auto")
    low, high = image.get_clim()
    line = 2.5 if named else 1.0
    for after, row in enumerate(results.shown):
        for task, value in enumerate(row if named else []):
            dark = value is not None and (high == low or (value - low) / (high - low) < 0.5)
            color = "w" if dark else "k"
            axes.text(task, after, format_cell(value), ha="center", va="center", color=color)
        if after and by_task:
            axes.plot([after - 1.5, after - 0.5], [after - 0.5] * 2, "w", linewidth=line)
        if 0 < after < tasks and by_task:
            axes.plot([after - 0.5] * 2, [after - 0.5, after + 0.5], "w", linewidth=line)
    across, down = name_some(tasks), name_some(rows)
    names = [escape_plot(columns[task]) for task in across]
    upright = tasks <= MOST_WRAPPED
    if upright:
        names = [wrap_label(name, WRAP_ROOM) for name in names]
    axes.set_xticks(across, names, rotation=0 if upright else 90)
    axes.set_yticks(down, [escape_plot(results.row_name(after)) for after in down])
    axes.set_xlabel("tested on")
    legend = "" if not by_task else "\nlower left of the white line: tasks already learnt"
    axes.set_title(f"{_title(results, probe=True)}{legend}", fontsize=9)
    figure.colorbar(image, label="accuracy (%)")
    save_figure(figure, path)


def draw_accuracy_over_tasks(results: Results, path: Path) -> None:
    """Draw the mean accuracy and each task's after each task, from state 0 on."""
    figure = make_figure(7, 4.2)
    axes = figure.add_subplot()
    steps = list(range(len(results.matrix)))
    means = _finite_or_nan(average_measured(row) for row in results.matrix)
    one = results.columns == 1
    mean = "mean of the tasks measured" if results.has_gaps else "mean of all tasks"
    name = escape_plot(results.tested_on[0]) if one else mean
    axes.plot(steps, means, "o-", color=COLORS[0], linewidth=2.5, zorder=3, label=name)
    if one:
        axes.margins(y=0.12)  # for the numbers above the dots
    else:
        _draw_each_task(axes, results)
    numbered = set(name_some(len(steps), MOST_BESIDE, MOST_NUMBERED))
    for step, value in zip(steps, means, strict=True):
        if math.isnan(value) or step not in numbered:
            continue
        axes.annotate(
            f"{value:.1f}",
            (step, value),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=COLORS[0],
            fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
    ends = [] if one or results.columns > MOST_NAMED else results.name_tasks(END_ROOM)
    beside = 0.03 + END_WIDTH * max((len(name) for name in ends), default=8)
    axes.set_xlim(-0.3, steps[-1] + len(steps) * beside / (1 - beside))
    names = ["all"] if results.at_once else [str(step) for step in steps[1:]]
    names = [name_start(results.params).removesuffix(" network"), *names]
    axes.set_xticks(sorted(numbered), [names[step] for step in sorted(numbered)])
    axes.set_xlabel("tasks learnt")
    axes.set_ylabel("accuracy (%)")
    axes.set_title(_title(results, probe=True), fontsize=10)
    axes.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    save_figure(figure, path)


def _draw_each_task(axes: Axes, results: Results) -> None:
    """Draw each task's accuracy as a thin line, with a dot where it was learnt."""
    steps = range(len(results.matrix))
    ends: dict[str, float] = {}  # the last measured accuracy, for the name beside it
    for task, name in enumerate(results.name_tasks(END_ROOM)):
        column = _finite_or_nan(row[task] for row in results.matrix)
        axes.plot(steps, column, color="0.7", linewidth=1, zorder=1)
        for step in alone_in_line(column):
            axes.plot(step, column[step], ".", color="0.7", markersize=4, zorder=1)
        learnt = 1 if results.at_once else task + 1
        axes.plot(learnt, column[learnt], "o", color="0.5", markersize=4, zorder=2)
        measured = [value for value in column if not math.isnan(value)]
        if measured:
            ends[name] = measured[-1]
    low, high = axes.get_ylim()
    gap = 0.045 * (high - low)
    if len(ends) > MOST_NAMED:
        ends = {}
    heights = spread_labels(list(ends.values()), gap)
    axes.set_ylim(low, max([high, *(height + gap for height in heights)]))
    for name, height in zip(ends, heights, strict=True):
        place = (steps[-1] + 0.05 * len(steps), height)
        axes.annotate(escape_plot(name), place, va="center", fontsize=8, color="0.4")
    axes.plot([], [], "o", color="0.5", markersize=4, label="a task when it was learnt")


def draw_losses(results: Results, path: Path) -> None:
    """Draw each loss term over the epochs of all tasks."""
    figure = make_figure(7, 4)
    axes = figure.add_subplot()
    rows = results.epochs
    names = list_losses(name for row in rows for name in row)
    for color, name in zip(COLORS * len(names), names, strict=False):
        values = [float(row[name]) if row.get(name) else float("nan") for row in rows]
        axes.plot(range(1, len(rows) + 1), values, label=name, color=color)
    _mark_tasks(axes, results)
    axes.set_ylabel("loss (mean over the epoch)")
    axes.set_title(_title(results), fontsize=10)
    figure.legend(loc="outside right upper", fontsize=8)
    save_figure(figure, path)


def draw_projections(results: Results, path: Path) -> None:
    """Draw spread and effective rank of the projections, which both fall on a collapse."""
    figure = make_figure(7, 5)
    above, below = figure.subplots(2, 1, sharex=True)
    rows = results.epochs
    drawn = [
        (above, "projection_std", "spread (1: even)", COLORS[0]),
        (below, "projection_rank", "effective rank", COLORS[1]),
    ]
    for axes, name, label, color in drawn:
        values = [float(row[name]) for row in rows]
        axes.plot(range(1, len(rows) + 1), values, color=color)
        axes.set_ylim(0, 1.2 * max(values))  # room for the tasks' names
        axes.set_ylabel(label)
        axes.grid(axis="y", alpha=0.3)
        _mark_tasks(axes, results)
    above.set_xlabel("")  # the axis is shared
    above.set_title(f"{_title(results)}\nprojections of the last batch of each epoch", fontsize=10)
    save_figure(figure, path)


def _finite_or_nan(values: Iterable[float | None]) -> list[float]:
    """Return the values with not a number for None, which interrupts a line."""
    return [math.nan if value is None else value for value in values]


def name_some(count: int, most: int = MOST_NAMED, whole: int = MOST_NAMED + 1) -> list[int]:
    """Return which of so many are named: all up to ``whole``, else some, with the last."""
    if count <= whole:
        return list(range(count))
    step = math.ceil(count / most)
    return [*range(0, count - step // 2 - 1, step), count - 1]


def _mark_tasks(axes: Axes, results: Results) -> None:
    """Draw a line and a name where each task begins, and name the axis."""
    begins = find_begins(results, MARKS_ROOM)
    named = set(name_some(len(begins.epochs), MOST_NUMBERED))
    axes.set_xlabel(begins.axis)
    for index, (start, name) in enumerate(zip(begins.epochs, begins.names, strict=True)):
        axes.axvline(start, color="0.8", linewidth=1, zorder=0)
        if index not in named:
            continue
        axes.annotate(
            escape_plot(name),
            (start, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -10),
            textcoords="offset points",
            fontsize=8,
            color="0.4",
        )


def _title(results: Results, probe: bool = False) -> str:
    title = escape_plot(f"{results.title}, seed {results.params['seed']}")
    return title + (f", probe {results.headline}" if probe else "")
