"""A comparison as tables of text, the same in the terminal, in Markdown and in LaTeX."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.metrics.estimates import Difference, Estimate
from pipeline.reporting.comparing.comparison import Comparison, ComparisonTable, Row
from pipeline.reporting.comparing.over_methods import PooledRow, pool_methods

NONE = "–"
DECIMALS = {"cka": 4}
# The better direction; other metrics have none.
MORE_IS_BETTER = (
    "average_accuracy",
    "average_incremental_accuracy",
    "forward_transfer",
    "backward_transfer",
    "knowledge_gain",
    "plasticity",
    "stability",
    "consolidation",
)
LESS_IS_BETTER = ("forgetting",)
HEADERS = {
    "average_accuracy": "A (%)",
    "forgetting": "F",
    "forward_transfer": "FT",
    "average_incremental_accuracy": "AIA (%)",
    "backward_transfer": "BWT",
    "knowledge_gain": "K",
    "consolidation": "C (%)",
    "stability": "stability (%)",
    "cka": "CKA",
}
TITLES = {
    "average_accuracy": "average accuracy",
    "forgetting": "forgetting",
    "forward_transfer": "forward transfer",
    "average_incremental_accuracy": "average incremental accuracy",
    "backward_transfer": "backward transfer",
    "knowledge_gain": "knowledge gain",
    "consolidation": "consolidation",
}
IMAGES = "images"  # the column of those that passed forward and backward
LEGEND = (
    "mean ± sample standard deviation (n - 1) over n runs, one a seed; means of the seconds of "
    "training, the forward passes relative to fine-tuning, the millions of images that passed "
    "forward and backward (what train.budget limits), and the MB that the strategy keeps beside "
    "the network"
)
DIFFERENCE_LEGEND = (
    "Differences: their mean on the seeds that both have, its 95 % confidence interval (Student's "
    "t), and on how many of these seeds it is the better one."
)
POOLED_LEGEND = (
    "All methods: the mean over the methods on each seed, its 95 % confidence interval over the "
    "seeds, in how many of the pairs it is the better one, and the two-sided p of the sign test, "
    "which takes these pairs as independent, though those of one seed share its split."
)


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Attributes:
        title: the table's title.
        columns: the column headers; the first two are names, the others numbers.
        rows: one cell for each column.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]


def format_tables(comparison: Comparison) -> list[TextTable]:
    """Return a text table of means for each table, and one of its differences if it has some."""
    return [found for table in comparison.tables for found in format_table(comparison, table)]


def format_table(comparison: Comparison, table: ComparisonTable) -> list[TextTable]:
    """Return a table's means as text, and its differences if it has some."""
    tables = [_means(comparison, table)]
    if any(row.baseline is not None for row in table.rows):
        tables.append(_differences(comparison, table))
    return tables


def write_legends(comparison: Comparison) -> list[str]:
    """Return the legends of the tables' cells."""
    symbols = ", ".join(
        f"{HEADERS[name].split()[0]} is {TITLES[name]}"
        for name in comparison.metrics
        if name in TITLES
    )
    first = f"{symbols}; {LEGEND}." if symbols else f"{LEGEND[0].upper()}{LEGEND[1:]}."
    legends = [first, f"Accuracies are by {'; '.join(comparison.protocols)}."]
    compared = any(row.baseline for table in comparison.tables for row in table.rows)
    pooled = any(pool_methods(table, ()) for table in comparison.tables)
    legends += [DIFFERENCE_LEGEND] if compared else []
    return [*legends, POOLED_LEGEND] if pooled else legends


def count_wins(metric: str, difference: Difference) -> int | None:
    """Return the number of seeds on which the first is better; None without a better direction."""
    if metric in MORE_IS_BETTER:
        return difference.above
    return difference.below if metric in LESS_IS_BETTER else None


def _means(comparison: Comparison, table: ComparisonTable) -> TextTable:
    headers = [HEADERS.get(name, name) for name in comparison.metrics]
    # Runs of older versions have not counted them.
    counted = any(row.costs["images_backward"] is not None for row in table.rows)
    rows = []
    for row in table.rows:
        n = len(row.cell.runs)
        metrics = [_mean(name, found, n) for name, found in row.metrics.items()]
        costs = [
            _cost(row.costs["training_seconds"], 0),
            _cost(row.costs["forward_passes"], 2),
            *([_cost(row.costs["images_backward"], 2, 1e6)] if counted else []),
            _cost(row.costs["strategy_bytes"], 2, 1e6),
        ]
        rows.append([*name_row(row), str(n), *metrics, *costs])
    return TextTable(
        table.title,
        [
            "method",
            "strategy",
            "n",
            *headers,
            "seconds",
            "passes",
            *([IMAGES] if counted else []),
            "MB",
        ],
        rows,
    )


def _differences(comparison: Comparison, table: ComparisonTable) -> TextTable:
    headers = [HEADERS.get(name, name) for name in comparison.metrics]
    rows = []
    for row in table.rows:
        if row.baseline is None:
            continue
        shared = len(row.shared_seeds)
        most = max(len(row.cell.runs), len(row.baseline.runs))
        seeds = str(shared) if shared == most else f"{shared} of {most}"
        metrics = [
            format_difference(name, found, shared) for name, found in row.differences.items()
        ]
        rows.append([*name_row(row), seeds, *metrics])
    for pooled in pool_methods(table, comparison.metrics):
        rows.append([pooled.name, name_row(pooled.rows[0])[1], *_pooled_cells(pooled)])
    return TextTable(
        f"{table.title}: difference to {comparison.baseline}",
        ["method", "strategy", "shared seeds", *headers],
        rows,
    )


def _pooled_cells(pooled: PooledRow) -> list[str]:
    shared = len(pooled.seeds)
    found = pooled.differences.items()
    return [str(shared), *(format_difference(name, each, shared) for name, each in found)]


def name_row(row: Row) -> tuple[str, str]:
    """Return a row's method and strategy, each with the options in which it differs."""
    given = (
        (row.cell.method, row.method_options),
        (row.cell.strategy, row.strategy_options),
    )
    first, second = (
        f"{name} ({options.replace(f'{name}.', '')})" if options else name
        for name, options in given
    )
    return first, second


def format_number(metric: str, value: float, sign: str = "") -> str:
    """Return a metric's value as text, with as many decimals as it has.

    Args:
        metric: its name in metrics.json.
        value: its value, or a difference of two.
        sign: "+": with a sign.
    """
    text = f"{value:{sign}.{DECIMALS.get(metric, 2)}f}"
    # A difference that rounds to nothing has no sign.
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def _mean(metric: str, found: Estimate | None, runs: int) -> str:
    if found is None:
        return NONE
    spread = NONE if found.deviation is None else format_number(metric, found.deviation)
    fewer = f" (n = {found.n})" if found.n != runs else ""
    return f"{format_number(metric, found.mean)} ± {spread}{fewer}"


def _cost(found: Estimate | None, decimals: int, unit: float = 1) -> str:
    return NONE if found is None else f"{found.mean / unit:.{decimals}f}"


def format_difference(metric: str, found: Difference | None, shared: int) -> str:
    """Return a difference with its interval, and in how many pairs the first is the better one.

    Of several methods together with the p of the sign test.

    Args:
        metric: the metric's name.
        found: the difference; None: a dash.
        shared: the seeds that both have, some of which may lack the metric.
    """
    if found is None:
        return NONE
    bounds = NONE
    if found.interval is not None:
        bounds = ", ".join(format_number(metric, bound, "+") for bound in found.interval)
    better = count_wins(metric, found)
    count = f" {better}/{found.pairs}" if better is not None else ""
    fewer = f" (n = {found.n})" if found.n != shared and better is None else ""
    tested = f" {_say_probability(found.sign_test)}" if found.pairs > found.n else ""
    return f"{format_number(metric, found.mean, '+')} [{bounds}]{count}{fewer}{tested}"


def _say_probability(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
