"""A comparison as Markdown, CSV, LaTeX, a page and images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tabulate import tabulate

from pipeline.errors import RunError
from pipeline.files.atomic import rewrite_text
from pipeline.files.csv_tables import csv_text
from pipeline.metrics.estimates import Difference
from pipeline.reporting.comparing.comparison import Comparison, Row
from pipeline.reporting.comparing.comparison_tables import (
    TextTable,
    count_wins,
    format_tables,
    write_legends,
)
from pipeline.reporting.comparing.over_methods import PooledRow, pool_methods
from pipeline.reporting.comparing.settings import name_protocol
from pipeline.reporting.text_formats import escape_markdown, escape_warning, show_controls

COLUMNS = (
    "table", "method", "method_options", "strategy", "strategy_options", "figure", "n", "seeds",
    "mean", "standard_deviation", "baseline", "shared_seeds", "difference", "ci_low", "ci_high",
    "wins", "pairs", "sign_test_p", "runs", "protocol",
)  # fmt: skip


def output_files(output: Path) -> dict[Path, Callable[[Comparison, Path], list[Path]]]:
    """Return the files to write for an output path, each with its writer.

    What the path's suffix says; all of it without a suffix. Of ``.png`` there is one file for each
    figure, with its name before the suffix.

    Raises:
        RunError: the suffix is unknown, or the path is a folder.
    """
    if output.name and output.is_dir():
        raise RunError(
            f"--output: '{output}' is a folder; name the files in it, e.g. "
            f"{output / 'comparison'}, or one of them, e.g. {output / 'comparison.md'}"
        )
    if output.suffix in WRITERS:
        return {output: WRITERS[output.suffix]}
    if output.suffix or not output.name:
        raise RunError(
            f"--output: '{output}' must end in {', '.join(WRITERS)}, or in none of them for all "
            "of these, e.g. reports/comparison"
        )
    return {output.with_name(output.name + suffix): write for suffix, write in WRITERS.items()}


def _write_markdown(comparison: Comparison, path: Path) -> list[Path]:
    parts = []
    for table in format_tables(comparison):
        parts += [f"**{escape_markdown(table.title)}**", _tabulated(table, "pipe", escape_markdown)]
    parts += write_legends(comparison)
    notes = [f"- {escape_warning(note)}" for note in comparison.remarks]
    parts += ["\n".join(notes)] if notes else []
    rewrite_text(path, "\n\n".join(parts) + "\n")
    return [path]


def _write_latex(comparison: Comparison, path: Path) -> list[Path]:
    parts = ["% \\usepackage{booktabs} in the preamble"]
    for table in format_tables(comparison):
        body = _tabulated(table, "latex_booktabs", show_controls)
        parts += [
            f"% {show_controls(table.title)}",
            body.replace("±", r"$\pm$").replace("−", "$-$"),
        ]
    comments = [*write_legends(comparison), *comparison.remarks]
    parts += [f"% {show_controls(line)}" for line in comments]
    rewrite_text(path, "\n".join(parts).replace("–", "--") + "\n")
    return [path]


def _tabulated(table: TextTable, form: str, escape: Callable[[str], str]) -> str:
    alignments = ["left", "left"] + ["right"] * (len(table.columns) - 2)
    text: str = tabulate(
        [[escape(cell) for cell in row] for row in table.rows],
        table.columns,
        tablefmt=form,
        colalign=alignments,
        disable_numparse=True,
    )
    return text


def _write_csv(comparison: Comparison, path: Path) -> list[Path]:
    rows = []
    for table in comparison.tables:
        for row in table.rows:
            rows += _csv_rows(comparison, table.title, row)
        for pooled in pool_methods(table, comparison.metrics):
            rows += _list_pooled(comparison, table.title, pooled)
    rewrite_text(path, csv_text(COLUMNS, rows))
    return [path]


def _write_page(comparison: Comparison, path: Path) -> list[Path]:
    # Here: numpy and jinja2 take longer than the tables.
    from pipeline.reporting.comparison_page.page import render_comparison

    rewrite_text(path, render_comparison(comparison))
    return [path]


def _write_images(comparison: Comparison, path: Path) -> list[Path]:
    from pipeline.reporting.comparison_page.images import write_images

    return write_images(comparison, path)


def _csv_rows(comparison: Comparison, title: str, row: Row) -> list[dict[str, str | int | float]]:
    """Return one CSV row a metric, with all digits; undefined values are left out."""
    runs = row.cell.runs.values()
    rows = []
    for name, found in (row.metrics | row.costs).items():
        cells: dict[str, str | int | float | None] = {
            "table": title,
            "method": row.cell.method,
            "method_options": row.method_options,
            "strategy": row.cell.strategy,
            "strategy_options": row.strategy_options,
            "figure": name,
            "n": 0 if found is None else found.n,
            "seeds": " ".join(str(seed) for seed in row.cell.runs),
            "mean": None if found is None else found.mean,
            "standard_deviation": None if found is None else found.deviation,
            "runs": " ".join(run.name for run in runs),
            "protocol": "; ".join(dict.fromkeys(name_protocol(run.params) for run in runs)),
        }
        difference = row.differences.get(name)
        if difference is not None:
            cells |= _describe_difference(comparison, name, difference)
        rows.append({key: value for key, value in cells.items() if value is not None})
    return rows


def _list_pooled(
    comparison: Comparison, title: str, pooled: PooledRow
) -> list[dict[str, str | int | float]]:
    """Return one CSV row a metric of the differences over all methods."""
    first = pooled.rows[0]
    return [
        {
            "table": title,
            "method": pooled.name,
            "strategy": first.cell.strategy,
            "strategy_options": first.strategy_options,
            "figure": name,
            "seeds": " ".join(map(str, pooled.seeds)),
            **_describe_difference(comparison, name, found),
        }
        for name, found in pooled.differences.items()
        if found is not None
    ]


def _describe_difference(
    comparison: Comparison, metric: str, found: Difference
) -> dict[str, str | int | float]:
    """Return the cells of a difference to the baseline; undefined values are left out."""
    low, high = found.interval or (None, None)
    cells = {
        "baseline": comparison.baseline,
        "shared_seeds": found.n,
        "difference": found.mean,
        "ci_low": low,
        "ci_high": high,
        "wins": count_wins(metric, found),
        "pairs": found.pairs,
        "sign_test_p": found.sign_test,
    }
    return {key: value for key, value in cells.items() if value is not None}


WRITERS: dict[str, Callable[[Comparison, Path], list[Path]]] = {
    ".md": _write_markdown,
    ".csv": _write_csv,
    ".tex": _write_latex,
    ".html": _write_page,
    ".png": _write_images,
}
