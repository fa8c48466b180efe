"""Estimates with their intervals, and differences to the baseline as a forest plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.reporting.comparing.comparison import Comparison, ComparisonTable, Row
from pipeline.reporting.comparing.comparison_tables import (
    HEADERS,
    LESS_IS_BETTER,
    MORE_IS_BETTER,
    NONE,
    TITLES,
    format_difference,
    format_number,
)
from pipeline.reporting.comparing.over_methods import PooledRow, pool_methods
from pipeline.reporting.comparison_page.charts import (
    Bounds,
    Figure,
    IntervalChart,
    IntervalRow,
    Style,
    list_methods,
    name_strategy,
    style_rows,
)

UNITS = {
    "average_accuracy": "%",
    "average_incremental_accuracy": "%",
    "stability": "%",
    "consolidation": "%",
    "cka": "1 is unchanged",
}
ESTIMATES = (
    "Each marker is a mean over seeds, the thick line its 95 % confidence interval (Student's "
    "t) and the small dots the single seeds. One seed has no interval; two or three have a "
    "wide one, since so few say little about others. Intervals that overlap may still belong "
    "to strategies of which one is better on every seed: see the differences."
)
DIFFERENCES = (
    "Each marker is the mean difference to {baseline} on the seeds that both have on the same "
    "splits and images, the thick line its 95 % confidence interval (Student's t) and the "
    "small dots the single pairs. An interval that holds 0 leaves open which is better. Last: "
    "the pairs in which the strategy is the better one, of all pairs there are."
)
POOLED = (
    " Of all methods together the small dots are the seeds' means over the methods, the interval "
    "is theirs, and p is that of the two-sided sign test over the pairs."
)


def draw_estimates(comparison: Comparison, table: ComparisonTable) -> Figure:
    """Return each metric's means with their intervals."""
    styles = style_rows(table)
    charts = []
    for metric in comparison.metrics:
        groups = [
            (method, _list_estimates(rows, metric, styles)) for method, rows in list_methods(table)
        ]
        label = f"{name_metric(metric)}{_say_unit(metric)}"
        charts += _chart(f"estimates-{metric}", name_metric(metric), label, groups)
    return Figure("estimates", "Means and intervals", ESTIMATES, charts)


def draw_differences(comparison: Comparison, table: ComparisonTable) -> Figure | None:
    """Return each metric's differences to the baseline; None if no row has one."""
    if all(row.baseline is None for row in table.rows):
        return None
    styles = style_rows(table)
    pooled = pool_methods(table, comparison.metrics)
    charts = []
    for metric in comparison.metrics:
        groups = [
            (method, _list_differences(rows, metric, styles))
            for method, rows in list_methods(table)
        ]
        for name in dict.fromkeys(each.name for each in pooled):
            members = [each for each in pooled if each.name == name]
            groups.append((name, _list_pooled(members, metric, styles)))
        label = f"difference in points{_say_better(metric)}"
        if metric not in TITLES and metric not in UNITS:
            label = f"difference{_say_better(metric)}"
        charts += _chart(f"differences-{metric}", name_metric(metric), label, groups, zero=True)
    caption = DIFFERENCES.format(baseline=comparison.baseline) + (POOLED if pooled else "")
    if not charts:
        caption = f"No row shares a seed with {comparison.baseline}, so there are no pairs."
    return Figure("differences", f"Difference to {comparison.baseline}", caption, charts)


def name_metric(metric: str) -> str:
    """Return a metric's name as a title has it: ``average accuracy A``."""
    symbol = HEADERS.get(metric, metric).split()[0]
    return f"{TITLES[metric]} {symbol}" if metric in TITLES else symbol


def _chart(
    name: str,
    title: str,
    label: str,
    groups: Sequence[tuple[str, list[IntervalRow]]],
    zero: bool = False,
) -> list[IntervalChart]:
    shown = [(heading, rows) for heading, rows in groups if rows]
    return [IntervalChart(name, title, label, shown, zero)] if shown else []


def _list_estimates(
    rows: Sequence[Row], metric: str, styles: Mapping[str, Style]
) -> list[IntervalRow]:
    shown = []
    for row in rows:
        found = row.metrics[metric]
        if found is None:
            continue
        name = name_strategy(row)
        text = f"{format_number(metric, found.mean)} {_say_bounds(metric, found.interval)}"
        seeds = list(row.cell.list_metric(metric).values())
        shown.append(
            IntervalRow(
                name, styles[name], found.mean, found.interval, seeds, f"{text} n = {found.n}"
            )
        )
    return shown


def _list_differences(
    rows: Sequence[Row], metric: str, styles: Mapping[str, Style]
) -> list[IntervalRow]:
    shown = []
    for row in rows:
        found = row.differences[metric]
        if found is None or row.baseline is None:
            continue
        name = name_strategy(row)
        theirs = row.baseline.list_metric(metric)
        pairs = [
            value - theirs[seed]
            for seed, value in row.cell.list_metric(metric).items()
            if seed in theirs
        ]
        text = format_difference(metric, found, len(row.shared_seeds))
        shown.append(IntervalRow(name, styles[name], found.mean, found.interval, pairs, text))
    return shown


def _list_pooled(
    pooled: Sequence[PooledRow], metric: str, styles: Mapping[str, Style]
) -> list[IntervalRow]:
    shown = []
    for each in pooled:
        found = each.differences[metric]
        if found is None:
            continue
        name = name_strategy(each.rows[0])
        means = each.list_means(metric)
        text = format_difference(metric, found, len(each.seeds))
        shown.append(IntervalRow(name, styles[name], found.mean, found.interval, means, text))
    return shown


def _say_bounds(metric: str, bounds: Bounds | None) -> str:
    if bounds is None:
        return f"[{NONE}]"
    return f"[{', '.join(format_number(metric, bound) for bound in bounds)}]"


def _say_unit(metric: str) -> str:
    unit = UNITS.get(metric, "points" if metric in TITLES else "")
    return f" ({unit}{_say_better(metric)})" if unit else _say_better(metric)


def _say_better(metric: str) -> str:
    if metric in MORE_IS_BETTER:
        return "; better to the right"
    return "; better to the left" if metric in LESS_IS_BETTER else ""
