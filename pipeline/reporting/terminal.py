"""The accuracy matrix in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from pipeline.reporting.gaps import remark_on_gaps
from pipeline.reporting.results import Results
from pipeline.reporting.tables import HEADLINES, headline, matrix_cells


def print_results(results: Results, console: Console) -> None:
    """Print the accuracy matrix, remarks on its gaps, and the headline metrics."""
    params = results.params
    table = Table(
        title=f"{params['dataset']}: {params['method']} with {params['strategy']}, "
        f"accuracy on each task in percent (probe {results.headline})"
    )
    table.add_column("")
    columns, rows = matrix_cells(results)
    for column in columns:
        table.add_column(column, justify="right")
    for after, cells in enumerate(rows):
        table.add_row(results.row_name(after), *cells)
    console.print(table)
    for remark in remark_on_gaps(results):
        console.print(remark, highlight=False)
    metrics = results.metrics()
    for name, title in HEADLINES.items():
        console.print(f"{title}: {headline(metrics, name)}")
