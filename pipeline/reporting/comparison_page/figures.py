"""All figures of a comparison's table."""

from __future__ import annotations

from pipeline.reporting.comparing.comparison import Comparison, ComparisonTable
from pipeline.reporting.comparison_page.charts import Figure
from pipeline.reporting.comparison_page.interval_figures import draw_differences, draw_estimates
from pipeline.reporting.comparison_page.order_figure import draw_order
from pipeline.reporting.comparison_page.series_figures import draw_cost, draw_over_tasks

KEYS = ("estimates", "differences", "order", "over-tasks", "cost")


def draw_figures(comparison: Comparison, table: ComparisonTable) -> list[Figure]:
    """Return a table's figures in the order of ``KEYS``, without those that have nothing to say."""
    found = [
        draw_estimates(comparison, table),
        draw_differences(comparison, table),
        draw_order(comparison, table),
        draw_over_tasks(table),
        draw_cost(comparison, table),
    ]
    return [figure for figure in found if figure is not None]
