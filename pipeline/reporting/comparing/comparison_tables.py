"""A comparison as cells of text, the same in the terminal, in Markdown and in LaTeX."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.metrics.estimates import Difference, Estimate
from pipeline.reporting.comparing.comparison import Comparison, ComparisonTable, Row

NONE = "–"
DECIMALS = {"cka": 4}
# Which way is better; nothing is said of other figures.
MORE_IS_BETTER = ("average_accuracy", "forward_transfer", "plasticity", "stability")
LESS_IS_BETTER = ("forgetting",)
HEADERS = {
    "average_accuracy": "A (%)",
    "forgetting": "F",
    "forward_transfer": "FT",
    "stability": "stability (%)",
    "cka": "CKA",
}
TITLES = {
    "average_accuracy": "average accuracy",
    "forgetting": "forgetting",
    "forward_transfer": "forward transfer",
}
LEGEND = (
    "mean ± sample standard deviation (n - 1) over n runs, one a seed; means of the seconds of "
    "training, the forward passes relative to fine-tuning, and the MB that the strategy keeps "
    "beside the network"
)
DIFFERENCE_LEGEND = (
    "Differences: their mean on the seeds that both have, its 95 % confidence interval (Student's "
    "t), and on how many of these seeds it is the better one."
)


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Attributes:
        title: what it shows.
        columns: their headers; the first two are names, the others figures.
        rows: a cell for each column.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]


def format_tables(contrast: Comparison) -> list[TextTable]:
    """Return a table of means for each side, and one of differences where there are some."""
    tables = []
    for side in contrast.tables:
        tables.append(_means(contrast, side))
        if any(line.baseline is not None for line in side.rows):
            tables.append(_differences(contrast, side))
    return tables


def write_legends(contrast: Comparison) -> list[str]:
    """Return what the tables' cells mean."""
    symbols = ", ".join(
        f"{HEADERS[name].split()[0]} is {TITLES[name]}"
        for name in contrast.metrics
        if name in TITLES
    )
    first = f"{symbols}; {LEGEND}." if symbols else f"{LEGEND[0].upper()}{LEGEND[1:]}."
    compared = any(line.baseline for side in contrast.tables for line in side.rows)
    return [first, DIFFERENCE_LEGEND] if compared else [first]


def count_wins(figure: str, difference: Difference) -> int | None:
    """Return on how many seeds the first is the better one; None where neither way is better."""
    if figure in MORE_IS_BETTER:
        return difference.above
    return difference.below if figure in LESS_IS_BETTER else None


def _means(contrast: Comparison, side: ComparisonTable) -> TextTable:
    headers = [HEADERS.get(name, name) for name in contrast.metrics]
    rows = []
    for line in side.rows:
        n = len(line.cell.runs)
        figures = [_mean(name, found, n) for name, found in line.metrics.items()]
        costs = [
            _cost(line.costs["training_seconds"], 0),
            _cost(line.costs["forward_passes"], 2),
            _cost(line.costs["strategy_bytes"], 2, 1e6),
        ]
        rows.append([*_names(line), str(n), *figures, *costs])
    return TextTable(
        side.title,
        ["method", "strategy", "n", *headers, "seconds", "passes", "MB"],
        rows,
    )


def _differences(contrast: Comparison, side: ComparisonTable) -> TextTable:
    headers = [HEADERS.get(name, name) for name in contrast.metrics]
    rows = []
    for line in side.rows:
        if line.baseline is None:
            continue
        shared = len(line.shared_seeds)
        most = max(len(line.cell.runs), len(line.baseline.runs))
        seeds = str(shared) if shared == most else f"{shared} of {most}"
        figures = [_difference(name, found, shared) for name, found in line.differences.items()]
        rows.append([*_names(line), seeds, *figures])
    return TextTable(
        f"{side.title}: difference to {contrast.baseline}",
        ["method", "strategy", "shared seeds", *headers],
        rows,
    )


def _names(line: Row) -> tuple[str, str]:
    given = (
        (line.cell.method, line.method_options),
        (line.cell.strategy, line.strategy_options),
    )
    first, second = (
        f"{name} ({options.replace(f'{name}.', '')})" if options else name
        for name, options in given
    )
    return first, second


def _number(figure: str, value: float, sign: str = "") -> str:
    text = f"{value:{sign}.{DECIMALS.get(figure, 2)}f}"
    # A difference that rounds to nothing has no sign.
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def _mean(figure: str, found: Estimate | None, runs: int) -> str:
    if found is None:
        return NONE
    spread = NONE if found.deviation is None else _number(figure, found.deviation)
    fewer = f" (n = {found.n})" if found.n != runs else ""
    return f"{_number(figure, found.mean)} ± {spread}{fewer}"


def _cost(found: Estimate | None, decimals: int, unit: float = 1) -> str:
    return NONE if found is None else f"{found.mean / unit:.{decimals}f}"


def _difference(figure: str, found: Difference | None, shared: int) -> str:
    if found is None:
        return NONE
    bounds = NONE
    if found.interval is not None:
        bounds = ", ".join(_number(figure, bound, "+") for bound in found.interval)
    better = count_wins(figure, found)
    count = f" {better}/{found.n}" if better is not None else ""
    fewer = f" (n = {found.n})" if found.n != shared and better is None else ""
    return f"{_number(figure, found.mean, '+')} [{bounds}]{count}{fewer}"
