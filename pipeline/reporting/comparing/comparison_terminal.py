"""A comparison in the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.reporting.comparing.comparison import Comparison
from pipeline.reporting.comparing.comparison_tables import format_tables, write_legends
from pipeline.reporting.terminal_text import format_terminal

UNBOUNDED = 10_000


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the tables, their legends and the notes."""
    for table in format_tables(comparison):
        drawn = Table(title=format_terminal(table.title), title_justify="left", box=box.SIMPLE_HEAD)
        for index, column in enumerate(table.columns):
            drawn.add_column(
                format_terminal(column), justify="left" if index < 2 else "right", overflow="fold"
            )
        for row in table.rows:
            drawn.add_row(*(format_terminal(cell) for cell in row))
        if not console.is_terminal:
            # A file or a pipe has no width at which to fold the cells.
            unbounded = console.options.update(max_width=UNBOUNDED)
            needed = console.measure(drawn, options=unbounded).maximum
            console.width = max(console.width, needed, len(table.title))
        console.print(drawn)
    for line in write_legends(comparison):
        console.print(format_terminal(line, "dim"))
    for note in comparison.notes:
        console.print(format_terminal(f"note: {note}"))
