"""Accuracy over the tasks, and against what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pipeline.metrics.accuracy_matrix import average_measured
from pipeline.metrics.estimates import estimate
from pipeline.reporting.comparing.comparison import Comparison, ComparisonTable, Row
from pipeline.reporting.comparing.comparison_tables import LESS_IS_BETTER
from pipeline.reporting.comparing.runs import Run
from pipeline.reporting.comparison_page.charts import (
    Bounds,
    Figure,
    Series,
    SeriesChart,
    Style,
    list_methods,
    name_strategy,
    style_rows,
)
from pipeline.reporting.comparison_page.interval_figures import UNITS, name_metric
from pipeline.reporting.comparison_page.order_figure import choose_metric
from pipeline.reporting.page.svg import round_ticks
from pipeline.reporting.start import name_start

MOST_TICKS = 12
OVER_TASKS = (
    "The mean accuracy of all tasks, learnt or not, after each task; 0 is the {}. "
    "Lines are means over seeds, bands their 95 % confidence intervals (Student's t, each "
    "point for itself); one seed has no band. What learns all tasks at once has a point at "
    "the end alone."
)
COST = (
    "Means over seeds; upright lines are 95 % confidence intervals of the metric. The upper "
    "left is better. Seconds depend on the machine and on what else it does, so they compare "
    "runs of one machine in peace. Only what the runs have recorded is shown."
)
COST_OF_LESS = COST.replace("upper left", "lower left")
# Cost in cost.json: label of its axis, unit.
COSTS = {
    "training_seconds": ("training (s)", 1.0),
    "training_cpu_seconds": ("training (CPU s)", 1.0),
    "forward_passes": ("forward passes (1: fine-tuning)", 1.0),
    "images_backward": ("images forward and backward (millions)", 1e6),
    "strategy_bytes": ("kept beside the network (MB)", 1e6),
}


def draw_over_tasks(table: ComparisonTable) -> Figure:
    """Return the accuracy after each task, a chart for each method."""
    styles = style_rows(table)
    charts = []
    for index, (method, rows) in enumerate(list_methods(table)):
        series = [_follow(row, styles) for row in rows]
        tasks = max(len(line.points) for line in series) - 1
        every = 1 + tasks // MOST_TICKS
        ticks = [(float(after), str(after)) for after in range(0, tasks + 1, every)]
        charts.append(
            SeriesChart(
                f"over-tasks-{index}", method, "tasks learnt", "accuracy (%)", series, ticks
            )
        )
    runs = [run for row in table.rows for run in row.cell.runs.values()]
    starts = " or the ".join(dict.fromkeys(name_start(run.params) for run in runs))
    return Figure("over-tasks", "Accuracy over the tasks", OVER_TASKS.format(starts), charts)


def draw_cost(comparison: Comparison, table: ComparisonTable) -> Figure | None:
    """Return the metric against each cost, a chart for each method and cost.

    None without a metric that has a better direction, and where no run knows its cost.
    """
    metric = choose_metric(comparison.metrics)
    if metric is None:
        return None
    styles = style_rows(table)
    charts = []
    methods = list_methods(table)
    unit = UNITS.get(metric, "points")
    for index, (method, rows) in enumerate(methods):
        for cost, (label, size) in COSTS.items():
            series = _weigh(rows, metric, cost, size, styles)
            if not series:
                continue
            xs = [x for line in series for x, _ in line.points]
            ticks = [(value, f"{value:g}") for value in round_ticks(min([0.0, *xs]), max(xs), 4)]
            title = f"{method}: {label}" if len(methods) > 1 else label
            name = f"cost-{index}-{cost}"
            y_label = f"{name_metric(metric)} ({unit})"
            charts.append(SeriesChart(name, title, label, y_label, series, ticks))
    title = f"{name_metric(metric)[0].upper()}{name_metric(metric)[1:]} against cost"
    caption = COST_OF_LESS if metric in LESS_IS_BETTER else COST
    return Figure("cost", title, caption, charts) if charts else None


def _follow(row: Row, styles: Mapping[str, Style]) -> Series:
    """Return the mean accuracy after each task over the seeds, and its interval."""
    name = name_strategy(row)
    followed = [_average(run) for run in row.cell.runs.values()]
    tasks = max(max(steps) for steps in followed)
    points: list[tuple[float, float]] = []
    bounds: list[Bounds | None] = []
    for after in range(tasks + 1):
        values = [value for steps in followed if (value := steps.get(after)) is not None]
        found = estimate(values)
        points.append((float(after), math.nan if found is None else found.mean))
        bounds.append(None if found is None else found.interval)
    return Series(name, styles[name], points, bounds)


def _average(run: Run) -> dict[int, float | None]:
    """Return a run's mean accuracy by the number of tasks learnt."""
    tasks = len(run.matrix[0])
    learnt = range(tasks + 1) if len(run.matrix) == tasks + 1 else (0, tasks)
    return {after: average_measured(row) for after, row in zip(learnt, run.matrix, strict=True)}


def _weigh(
    rows: Sequence[Row], metric: str, cost: str, size: float, styles: Mapping[str, Style]
) -> list[Series]:
    found = []
    for row in rows:
        paid, reached = row.costs[cost], row.metrics[metric]
        if paid is not None and reached is not None:
            name = name_strategy(row)
            point = (paid.mean / size, reached.mean)
            found.append(Series(name, styles[name], [point], [reached.interval]))
    return found
