"""The accuracy matrix in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from pipeline.reporting.gaps import format_cell, remark_on_gaps
from pipeline.reporting.results import Results
from pipeline.reporting.tables import HEADLINES, headline, matrix_cells

MOST_COLUMNS = 10  # more do not fit beside each other


def print_results(results: Results, console: Console) -> None:
    """Print the accuracy matrix, remarks on its gaps, and the headline metrics."""
    params = results.params
    table = Table(
        title=f"{params['dataset']}: {params['method']} with {params['strategy']}, "
        f"accuracy on each task in percent (probe {results.headline})"
    )
    columns, rows = matrix_cells(results)
    if len(columns) > MOST_COLUMNS:
        columns, names, rows = _list_by_task(results)
    else:
        names = [results.row_name(after) for after in range(len(rows))]
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    for name, cells in zip(names, rows, strict=True):
        table.add_row(name, *cells)
    console.print(table)
    for remark in remark_on_gaps(results):
        console.print(remark, highlight=False)
    metrics = results.metrics()
    for name, title in HEADLINES.items():
        console.print(f"{title}: {headline(metrics, name)}")


def _list_by_task(results: Results) -> tuple[list[str], list[str], list[list[str]]]:
    """Return columns, row names and cells of a table with a row for each task."""
    matrix = results.shown
    names = results.tested_on
    rows = [
        [
            format_cell(row[task])
            for row in (matrix[0], matrix[min(task + 1, len(matrix) - 1)], matrix[-1])
        ]
        for task in range(len(names))
    ]
    return ["random network", "once learnt", "at the end"], names, rows
