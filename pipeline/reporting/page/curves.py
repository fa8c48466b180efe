"""The page's line charts over tasks, and over the epochs of all tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import Literal

from markupsafe import Markup

from pipeline.artifacts.split import shared_test
from pipeline.artifacts.training_log import Over, list_losses, list_measured, name_measurement
from pipeline.metrics.accuracy_matrix import Matrix, average_measured, forgetting
from pipeline.reporting.chart_labels import shorten_label
from pipeline.reporting.comparing.runs import Run
from pipeline.reporting.gaps import format_cell
from pipeline.reporting.page.line_chart import Chart, Line, draw_line_chart
from pipeline.reporting.page.svg import SERIES, round_ticks, series_color
from pipeline.reporting.results import Results
from pipeline.reporting.task_begins import find_begins
from pipeline.reporting.transfer import transfer_columns

NAME_ROOM = 12  # characters of a task's name, and of the other run's
MARKS_ROOM = 40  # of all tasks' names where they begin
THIS_RUN, OTHER_RUN, MEAN = "var(--this)", "var(--other)", "var(--text)"
# What a probe measures while a task trains: the column, the line's name, color, kind and dots.
MEASURED_LINES: Sequence[tuple[Over, str, str, Literal["strong", "thin", "dashed"], bool]] = (
    ("this", "this task", THIS_RUN, "thin", False),
    ("earlier", "earlier", OTHER_RUN, "dashed", False),
    ("all", "so far", MEAN, "strong", False),
)


def draw_accuracy(results: Results, against: Run | None) -> Markup:
    """Draw the accuracy after each task: the mean and each task's."""
    tasks = results.num_tasks
    many = tasks > SERIES
    lines = []
    # Where all tasks share a test set, their own accuracies are the mean.
    by_task = results.tested_by_task
    for task, name in enumerate(results.name_tasks(NAME_ROOM) if by_task else ()):
        cells = [row[task] for row in results.matrix]
        points = [
            (float(after), math.nan if value is None else value)
            for after, value in enumerate(cells)
        ]
        lines.append(
            Line(
                "" if many else name,
                points,
                "var(--faint)" if many else series_color(task, tasks),
                "thin",
            )
        )
    if against is not None and len(against.matrix) == len(results.matrix):
        lines.append(
            Line(
                shorten_label(against.name, NAME_ROOM), _means(against.matrix), MEAN, "dashed", True
            )
        )
    means = _means(results.matrix)
    first, last = (average_measured(results.matrix[row]) for row in (0, -1))
    lines.append(Line("mean", means, MEAN, "strong", dots=True))
    start = results.row_name(0)
    averaged = "the tasks measured" if results.has_gaps else "all tasks"
    chart = Chart(
        name="accuracy",
        title="Accuracy over the tasks",
        description=f"The mean accuracy of {averaged} goes from {format_cell(first)} % with the "
        f"{start} to {format_cell(last)} % at the end. All values are in the matrix above.",
        x_label=f"tasks learnt (0: {start})",
        y_label="accuracy (%)",
        x_ticks=_steps(0, len(results.matrix) - 1, ["0", "all"] if results.at_once else None),
    )
    return draw_line_chart(chart, lines)


def draw_transfer(results: Results) -> Markup:
    """Draw the accuracy on each other data set after each task, one line a probe."""
    columns = transfer_columns(results)
    many = len(columns) > SERIES
    lines = []
    for place, (data, probe) in enumerate(columns):
        points = [
            (float(row.after_task), row.accuracy[probe])
            for row in results.transfer
            if row.data == data and probe in row.accuracy
        ]
        name = shorten_label(PurePath(data).name or data, NAME_ROOM)
        color = "var(--faint)" if many else series_color(place, len(columns))
        lines.append(Line("" if many else f"{name} {probe}", points, color, "thin", dots=True))
    chart = Chart(
        name="transfer",
        title="Accuracy on other data",
        description="The accuracy of each state on labelled data beside the stream. All values "
        "are in the table.",
        x_label=f"tasks learnt (0: {results.row_name(0)})",
        y_label="accuracy (%)",
        x_ticks=_steps(0, len(results.matrix) - 1, ["0", "all"] if results.at_once else None),
    )
    return draw_line_chart(chart, lines)


def draw_forgetting(results: Results, against: Run | None) -> Markup | None:
    """Draw the forgetting F after each task; None if it is undefined."""
    points = _forgetting(results.matrix)
    if not points or shared_test(results.splits):
        return None
    lines = [Line("F", points, THIS_RUN, "strong", dots=True)]
    other = _forgetting(against.matrix) if against is not None else []
    if against is not None and other:
        lines.insert(
            0, Line(shorten_label(against.name, NAME_ROOM), other, OTHER_RUN, "dashed", True)
        )
    said = ", ".join(f"{value:.1f} after task {int(after)}" for after, value in points)
    chart = Chart(
        name="forgetting",
        title="Forgetting over the tasks",
        description=f"Forgetting in percentage points: {said}.",
        x_label="tasks learnt",
        y_label="forgetting (points)",
        x_ticks=_steps(2, results.num_tasks),
        from_zero=True,
    )
    return draw_line_chart(chart, lines)


def draw_losses(results: Results) -> Markup:
    """Draw each loss term over the epochs of all tasks."""
    rows = results.epochs
    names = list_losses(name for row in rows for name in row)
    lines = []
    for index, name in enumerate(names):
        points = _column(rows, name)
        lines.append(Line(name, points, series_color(index % SERIES, SERIES)))
    last = ", ".join(
        f"{name} {value:.2f}" for name in names if (value := _number(rows[-1], name)) == value
    )
    chart = _epochs("losses", "Loss terms", f"In the last epoch: {last}.", "loss", results)
    return draw_line_chart(chart, lines)


def draw_column(results: Results, column: str, title: str, unit: str) -> Markup | None:
    """Draw a column of the training log over the epochs, from 0; None without that column."""
    points = _column(results.epochs, column)
    values = [value for _, value in points if value == value]
    if not values:
        return None
    said = f"From {values[0]:.3g} in the first epoch to {values[-1]:.3g} in the last."
    chart = _epochs(column, title, said, unit, results, from_zero=True)
    return draw_line_chart(chart, [Line("", points, THIS_RUN)])


def draw_measured(results: Results) -> list[tuple[str, Markup]]:
    """Draw what each probe has measured while tasks trained; its name and the chart of each."""
    rows = results.epochs
    drawn = []
    for probe in list_measured(name for row in rows for name in row):
        lines = [
            Line(name, _by_task(rows, name_measurement(probe, over)), color, kind, dots)
            for over, name, color, kind, dots in MEASURED_LINES
        ]
        lines = [line for line in lines if line.points]
        if not lines:
            continue
        shown = lines[-1].points
        chart = _epochs(
            f"measured-{probe}",
            f"{probe} while training",
            f"The accuracy on the tasks so far goes from {format_cell(shown[0][1])} % to "
            f"{format_cell(shown[-1][1])} %.",
            "accuracy (%)",
            results,
        )
        drawn.append((probe, draw_line_chart(chart, lines)))
    return drawn


def _by_task(rows: Sequence[dict[str, str]], name: str) -> list[tuple[float, float]]:
    """The measured points of a column, with a gap where another task begins."""
    points: list[tuple[float, float]] = []
    before = None
    for count, row in enumerate(rows, start=1):
        if not row.get(name):
            continue
        if before not in (None, row["task"]):
            points.append((float(count), math.nan))
        points.append((float(count), float(row[name])))
        before = row["task"]
    return points


def _means(matrix: Matrix) -> list[tuple[float, float]]:
    """Return the mean of the measured cells of each row that has some."""
    found = [(float(after), average_measured(row)) for after, row in enumerate(matrix)]
    return [(after, mean) for after, mean in found if mean is not None]


def _forgetting(matrix: Matrix) -> list[tuple[float, float]]:
    """Return F of the stream up to each task, from task 2 on; empty if learnt at once."""
    tasks = len(matrix[0])
    if len(matrix) != tasks + 1:
        return []
    cut = {after: [row[:after] for row in matrix[: after + 1]] for after in range(2, tasks + 1)}
    found = [(float(after), forgetting(part)) for after, part in cut.items()]
    return [(after, value) for after, value in found if value is not None]


def _epochs(
    name: str, title: str, description: str, unit: str, results: Results, from_zero: bool = False
) -> Chart:
    rows = results.epochs
    begins = find_begins(results, MARKS_ROOM)
    marked = [value for value in round_ticks(0, len(rows)) if value <= len(rows) and value % 1 == 0]
    return Chart(
        name=name,
        title=title,
        description=description,
        x_label=begins.axis,
        y_label=unit,
        x_ticks=[(value, f"{value:.0f}") for value in marked],
        marks=list(zip(map(float, begins.epochs), begins.names, strict=True)),
        from_zero=from_zero,
    )


def _column(rows: Sequence[dict[str, str]], name: str) -> list[tuple[float, float]]:
    return [(float(count), _number(row, name)) for count, row in enumerate(rows, start=1)]


def _number(row: dict[str, str], name: str) -> float:
    return float(row[name]) if row.get(name) else float("nan")


def _steps(first: int, last: int, names: list[str] | None = None) -> list[tuple[float, str]]:
    every = 1 + (last - first) // 12
    steps = range(first, last + 1)
    shown = names or [str(step) for step in steps]
    return [(float(n), text) for n, text in zip(steps, shown, strict=True) if n % every == 0]
