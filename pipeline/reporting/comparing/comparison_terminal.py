"""A comparison in the terminal."""

from __future__ import annotations

from dataclasses import replace

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.reporting.chart_labels import shorten_label
from pipeline.reporting.comparing.comparison import Comparison
from pipeline.reporting.comparing.comparison_tables import (
    IMAGES,
    TextTable,
    format_tables,
    write_legends,
)
from pipeline.reporting.terminal_text import format_terminal
from pipeline.reporting.terminal_widths import fit_columns

UNBOUNDED = 10_000
NAMES = 2  # columns of names, before those of numbers
SHORT = 10  # characters of a name's words; one with longer words stands below its table


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the tables, their legends and the notes."""
    for table in format_tables(comparison):
        legend: list[str] = []
        # A file or a pipe has no width at which to fold the cells.
        widths = _fit(table, console.width) if console.is_terminal else None
        if widths is None and console.is_terminal:
            table, legend = _shorten_names(table)
            widths = _fit(table, console.width)
        if widths is None and console.is_terminal and IMAGES in table.columns:
            table = _leave_out(table, IMAGES)
            legend.append(f"no room for the column {IMAGES}; --output FILE.md has it")
            widths = _fit(table, console.width)
        _print_table(table, widths, console)
        for line in legend:
            console.print(format_terminal(line, "dim"))
    for line in write_legends(comparison):
        console.print(format_terminal(line, "dim"))
    for note in comparison.remarks:
        console.print(format_terminal(f"note: {note}"))


def _fit(table: TextTable, width: int) -> list[int] | None:
    cells = [[name, *(row[i] for row in table.rows)] for i, name in enumerate(table.columns)]
    return fit_columns(cells, width)


def _shorten_names(table: TextTable) -> tuple[TextTable, list[str]]:
    """Return a table with short names and numbers, and what each number stands for."""
    names = dict.fromkeys(name for row in table.rows for name in row[:NAMES])
    long = [name for name in names if max(map(len, name.split())) > SHORT]
    short = {
        name: f"{shorten_label(name.split(' (')[0], SHORT)} [{number}]"
        for number, name in enumerate(long, start=1)
    }
    rows = [[*(short.get(name, name) for name in row[:NAMES]), *row[NAMES:]] for row in table.rows]
    legend = [f"[{number}] {name}" for number, name in enumerate(long, start=1)]
    return replace(table, rows=rows), legend


def _leave_out(table: TextTable, column: str) -> TextTable:
    """Return a table without a column."""
    place = list(table.columns).index(column)
    rows = [[*row[:place], *row[place + 1 :]] for row in table.rows]
    return replace(table, columns=[c for c in table.columns if c != column], rows=rows)


def _print_table(table: TextTable, widths: list[int] | None, console: Console) -> None:
    drawn = Table(title=format_terminal(table.title), title_justify="left", box=box.SIMPLE_HEAD)
    for index, column in enumerate(table.columns):
        drawn.add_column(
            format_terminal(column),
            justify="left" if index < NAMES else "right",
            overflow="fold",
            width=None if widths is None else widths[index],
        )
    for row in table.rows:
        drawn.add_row(*(format_terminal(cell) for cell in row))
    if not console.is_terminal:
        unbounded = console.options.update(max_width=UNBOUNDED)
        needed = console.measure(drawn, options=unbounded).maximum
        console.width = max(console.width, needed, len(table.title))
    console.print(drawn)
