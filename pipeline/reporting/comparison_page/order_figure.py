"""The order of the strategies, and how sure it is: a bootstrap over the seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.metrics.ordering import DRAWS, FEWEST, Place, bootstrap_places
from pipeline.reporting.comparing.comparison import Comparison, ComparisonTable, Row
from pipeline.reporting.comparing.comparison_tables import (
    HEADERS,
    LESS_IS_BETTER,
    MORE_IS_BETTER,
    TextTable,
    format_number,
)
from pipeline.reporting.comparison_page.charts import (
    Figure,
    IntervalChart,
    IntervalRow,
    list_methods,
    name_strategy,
    style_rows,
)
from pipeline.reporting.comparison_page.interval_figures import name_metric

COLUMNS = ("method", "strategy", "place", "first in", "95 % of draws", "seeds", "mean")
HOW = (
    "Strategies of one method in the order of their mean {metric}, over the seeds that all of "
    f"them have. These seeds are drawn again with replacement, as many as there are, {DRAWS:,} "
    "times (always the same draws), and the order is made anew: the line covers the places of "
    "95 % of the draws, and the share says in how many the strategy is first. It tells how "
    "far the order depends on which of these seeds were run, and on their splits where each has "
    "its own; nothing of other images or params."
)
FEW = (
    " {seeds} seeds have only {draws} different draws: a share of 100 % then says that it is "
    "first in each of them, and is no proof."
)
CERTAIN_FROM = 10  # seeds; with fewer the page says how few draws there are


def choose_metric(metrics: Sequence[str]) -> str | None:
    """Return the first metric that has a better direction; None if none has."""
    return next((m for m in metrics if m in (*MORE_IS_BETTER, *LESS_IS_BETTER)), None)


def draw_order(comparison: Comparison, table: ComparisonTable) -> Figure | None:
    """Return the places of the strategies of each method.

    None without a metric that has a better direction, and where no method has two strategies.
    """
    metric = choose_metric(comparison.metrics)
    several = [(method, rows) for method, rows in list_methods(table) if len(rows) > 1]
    if metric is None or not several:
        return None
    styles = style_rows(table)
    groups, lines, remarks, most, fewest = [], [], [], 1, CERTAIN_FROM
    for method, rows in several:
        ordered, seeds, remark = _order(rows, metric)
        remarks += [f" {method}: {remark}"] if remark else []
        if not ordered:
            continue
        most, fewest = max(most, len(ordered)), min(fewest, len(seeds))
        shown = []
        for row, place in ordered:
            name, span = name_strategy(row), _say_span(place)
            first = f"{place.first:.0f} %"
            text = f"place {place.place:g} [{span}] first in {first}"
            bounds = (place.low, place.high)
            shown.append(IntervalRow(name, styles[name], place.place, bounds, (), text))
            mean = format_number(metric, place.mean)
            lines.append([method, name, f"{place.place:g}", first, span, str(len(seeds)), mean])
        groups.append((method, shown))
    caption = HOW.format(metric=HEADERS.get(metric, metric).split()[0]) if groups else ""
    if groups and fewest < CERTAIN_FROM:
        draws = math.comb(2 * fewest - 1, fewest)
        caption += FEW.format(seeds=fewest, draws=draws)
    title = f"Order by {name_metric(metric)}, and how sure it is"
    caption = (caption + "".join(remarks)).strip()
    if not groups:
        return Figure("order", title, caption, ())
    ticks = [float(place) for place in range(1, most + 1)]
    chart = IntervalChart("order", title, "place (1: first)", groups, ticks=ticks)
    return Figure("order", title, caption, [chart], TextTable(title, list(COLUMNS), lines))


def _order(rows: Sequence[Row], metric: str) -> tuple[list[tuple[Row, Place]], list[int], str]:
    """Return rows with their places, the seeds they share, and a remark on who has none."""
    values = {index: row.cell.list_metric(metric) for index, row in enumerate(rows)}
    enough = [index for index, held in values.items() if len(held) >= FEWEST]
    shared = [
        seed
        for seed in (values[enough[0]] if enough else ())
        if all(seed in values[index] for index in enough)
    ]
    few = [name_strategy(row) for index, row in enumerate(rows) if index not in enough]
    if len(enough) < 2 or len(shared) < FEWEST:
        counts = ", ".join(
            f"{name_strategy(row)} {len(values[index])}" for index, row in enumerate(rows)
        )
        return (
            [],
            shared,
            (
                f"no order, which takes {FEWEST} seeds or more that at least two strategies share "
                f"(seeds: {counts}; shared by those with {FEWEST} or more: {len(shared)})."
            ),
        )
    places = bootstrap_places(
        [[values[index][seed] for seed in shared] for index in enough], metric in MORE_IS_BETTER
    )
    found = sorted(
        zip([rows[index] for index in enough], places, strict=True), key=lambda each: each[1].place
    )
    remark = f"left out with fewer than {FEWEST} seeds: {', '.join(few)}." if few else ""
    return found, shared, remark


def _say_span(place: Place) -> str:
    return f"{place.low:g}" if place.low == place.high else f"{place.low:g} to {place.high:g}"
