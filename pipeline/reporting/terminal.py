"""The accuracy matrix in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.reporting.below_random import warn_of_shortfalls
from pipeline.reporting.gaps import format_cell, remark_on_gaps
from pipeline.reporting.results import Results
from pipeline.reporting.start import name_start
from pipeline.reporting.tables import HEADLINES, headline, matrix_cells
from pipeline.reporting.task_names import ROOM
from pipeline.reporting.terminal_text import format_terminal
from pipeline.reporting.terminal_widths import fit_columns

MOST_COLUMNS = 10  # tasks beside each other; more are listed below each other


def print_results(results: Results, console: Console) -> None:
    """Print the accuracy matrix, remarks on its gaps, the headline metrics, and a warning.

    Where no accuracy was measured, the remarks alone.
    """
    if results.has_accuracies:
        _print_matrix(results, console)
    for remark in remark_on_gaps(results):
        console.print(format_terminal(remark))
    if not results.has_accuracies:
        return
    metrics = results.metrics()
    for name, title in HEADLINES.items():
        console.print(f"{title}: {headline(metrics, name)}")
    warning = warn_of_shortfalls(results.matrix, results.say_task, results.row_name(0))
    if warning is not None:
        console.print(format_terminal(f"warning: {warning}", "yellow"))


def _print_matrix(results: Results, console: Console) -> None:
    about = f"accuracy on each task in percent ({results.measured_by})"
    table = Table(title=format_terminal(f"{results.title}, {about}"))
    columns, rows = matrix_cells(results)
    names = [results.row_name(after) for after in range(len(rows))]
    columns = [column.replace(", ", "\n").replace(" · ", " ·\n") for column in columns]
    widths = _fit(console, columns, names, rows) if results.columns <= MOST_COLUMNS else None
    if widths is None:
        columns, names, rows = _list_by_task(results)
        widths = _fit(console, columns, names, rows) or [None] * (1 + len(columns))
    table.add_column("", width=widths[0], overflow="fold")
    for column, width in zip(columns, widths[1:], strict=True):
        lines = [format_terminal(line) for line in column.split("\n")]
        table.add_column(Text("\n").join(lines), justify="right", width=width, overflow="fold")
    for name, cells in zip(names, rows, strict=True):
        table.add_row(format_terminal(name), *cells)
    console.print(table)


def _fit(
    console: Console, columns: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[str]]
) -> Sequence[int | None] | None:
    """Return the widths of the names' and all other columns; None where words would be broken."""
    cells = [names, *([column, *(row[i] for row in rows)] for i, column in enumerate(columns))]
    return fit_columns(cells, console.width)


def _list_by_task(results: Results) -> tuple[list[str], list[str], list[list[str]]]:
    """Return columns, row names and cells of a table with a row for each task."""
    matrix = results.shown
    names = results.name_tasks(ROOM[1])
    rows = [
        [
            format_cell(row[task])
            for row in (matrix[0], matrix[min(task + 1, len(matrix) - 1)], matrix[-1])
        ]
        for task in range(len(names))
    ]
    return [name_start(results.params), "once learnt", "at the end"], names, rows
