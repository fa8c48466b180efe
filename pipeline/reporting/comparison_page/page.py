"""A comparison on one page that needs no network and no script, in the style of the report's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from pipeline.reporting.comparing.comparison import Comparison, ComparisonTable
from pipeline.reporting.comparing.comparison_tables import (
    TextTable,
    format_table,
    write_legends,
)
from pipeline.reporting.comparison_page.charts import (
    Figure,
    SeriesChart,
    list_methods,
    name_strategy,
    style_rows,
)
from pipeline.reporting.comparison_page.figures import draw_figures
from pipeline.reporting.comparison_page.svg_charts import draw_chart, draw_key
from pipeline.reporting.page.rendering import open_templates
from pipeline.reporting.text_formats import show_controls, split_command

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class DrawnFigure:
    """A figure as SVG.

    Attributes:
        figure: the figure.
        charts: title and SVG of each chart.
        legend: marker and name of each strategy, where the charts have no room for the names.
    """

    figure: Figure
    charts: Sequence[tuple[str, Markup]]
    legend: Sequence[tuple[Markup, str]]


@dataclass(frozen=True)
class TablePart:
    """One table's part of the page.

    Attributes:
        anchor: its name in links.
        title: its title.
        protocol: how its accuracies were measured.
        counts: what it holds, in words.
        tables: its means, and its differences if there are some.
        figures: each figure with its charts.
        runs: method, strategy, seed and name of each run.
    """

    anchor: str
    title: str
    protocol: str
    counts: str
    tables: Sequence[tuple[str, TextTable]]
    figures: Sequence[DrawnFigure]
    runs: Sequence[tuple[str, str, int, str]]


def render_comparison(comparison: Comparison) -> str:
    """Return the page as HTML; the same comparison gives the same text."""
    parts = [
        _describe_table(comparison, table, f"table-{number}")
        for number, table in enumerate(comparison.tables, start=1)
    ]
    return (
        open_templates(TEMPLATES)
        .get_template("comparison.html")
        .render(
            comparison=comparison,
            parts=parts,
            count=sum(len(part.runs) for part in parts),
            left_out=[split_command(show_controls(note)) for note in comparison.left_out],
            notes=[split_command(show_controls(note)) for note in comparison.notes],
            legends=write_legends(comparison),
        )
    )


def _describe_table(comparison: Comparison, table: ComparisonTable, anchor: str) -> TablePart:
    tables = [
        (f"{anchor}-{'means' if index == 0 else 'pairs'}", found)
        for index, found in enumerate(format_table(comparison, table))
    ]
    return TablePart(
        anchor=anchor,
        title=show_controls(table.title),
        protocol=table.protocol,
        counts=_count(table),
        tables=tables,
        figures=[
            _draw_figure(figure, table, f"{anchor}-{figure.key}")
            for figure in draw_figures(comparison, table)
        ],
        runs=[
            (method, name_strategy(row), seed, show_controls(run.name))
            for method, rows in list_methods(table)
            for row in rows
            for seed, run in row.cell.runs.items()
        ],
    )


def _draw_figure(figure: Figure, table: ComparisonTable, anchor: str) -> DrawnFigure:
    keyed = any(isinstance(chart, SeriesChart) for chart in figure.charts)
    return DrawnFigure(
        figure,
        [(chart.title, draw_chart(chart, anchor)) for chart in figure.charts],
        [
            (draw_key(style, f"{anchor}-key-{style.index}"), name)
            for name, style in (style_rows(table).items() if keyed else ())
        ],
    )


def _count(table: ComparisonTable) -> str:
    """Return how much a table holds: ``6 runs: 1 method, 2 rows, 3 seeds``."""
    rows = [row for _, members in list_methods(table) for row in members]
    seeds = {seed for row in rows for seed in row.cell.runs}
    counts = {
        "run": sum(len(row.cell.runs) for row in rows),
        "method": len(list_methods(table)),
        "row": len(rows),
        "seed": len(seeds),
    }
    said = [f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items()]
    return f"{said[0]}: {', '.join(said[1:])}"
