"""A comparison as Markdown, CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tabulate import tabulate

from pipeline.errors import RunError
from pipeline.files.atomic import write_text
from pipeline.files.csv_tables import write_csv
from pipeline.reporting.comparing.comparison import Comparison, Row
from pipeline.reporting.comparing.comparison_tables import (
    TextTable,
    count_wins,
    format_tables,
    write_legends,
)

COLUMNS = (
    "table", "method", "method_options", "strategy", "strategy_options", "figure", "n", "seeds",
    "mean", "standard_deviation", "baseline", "shared_seeds", "difference", "ci_low", "ci_high",
    "wins", "runs",
)  # fmt: skip


def output_files(output: Path) -> dict[Path, Callable[[Comparison, Path], None]]:
    """Return the files that an output stands for, and what writes each.

    One by its suffix; without one all three, side by side.

    Raises:
        RunError: the suffix is of another kind.
    """
    if output.suffix in WRITERS:
        return {output: WRITERS[output.suffix]}
    if output.suffix or not output.name:
        raise RunError(
            f"--output: '{output}' must end in {', '.join(WRITERS)}, or in none of them for all "
            "three, e.g. reports/comparison"
        )
    return {output.with_name(output.name + suffix): write for suffix, write in WRITERS.items()}


def _write_markdown(contrast: Comparison, path: Path) -> None:
    parts = []
    for table in format_tables(contrast):
        parts += [f"**{table.title}**", _tabulated(table, "pipe")]
    parts += write_legends(contrast)
    parts += ["\n".join(f"- {note}" for note in contrast.notes)] if contrast.notes else []
    write_text(path, "\n\n".join(parts) + "\n")


def _write_latex(contrast: Comparison, path: Path) -> None:
    parts = ["% \\usepackage{booktabs} in the preamble"]
    for table in format_tables(contrast):
        body = _tabulated(table, "latex_booktabs")
        parts += [f"% {table.title}", body.replace("±", r"$\pm$").replace("−", "$-$")]
    parts += [f"% {line}" for line in [*write_legends(contrast), *contrast.notes]]
    write_text(path, "\n".join(parts).replace("–", "--") + "\n")


def _tabulated(table: TextTable, form: str) -> str:
    sides = ["left", "left"] + ["right"] * (len(table.columns) - 2)
    text: str = tabulate(
        table.rows, table.columns, tablefmt=form, colalign=sides, disable_numparse=True
    )
    return text


def _write_csv(contrast: Comparison, path: Path) -> None:
    rows = [
        row
        for side in contrast.tables
        for line in side.rows
        for row in _csv_rows(contrast, side.title, line)
    ]
    write_csv(path, COLUMNS, rows)


def _csv_rows(contrast: Comparison, title: str, line: Row) -> list[dict[str, str | int | float]]:
    """Return one row a figure, with all digits; what is undefined is an empty cell."""
    runs = line.cell.runs.values()
    rows = []
    for name, found in (line.metrics | line.costs).items():
        row: dict[str, str | int | float | None] = {
            "table": title,
            "method": line.cell.method,
            "method_options": line.method_options,
            "strategy": line.cell.strategy,
            "strategy_options": line.strategy_options,
            "figure": name,
            "n": 0 if found is None else found.n,
            "seeds": " ".join(str(seed) for seed in line.cell.runs),
            "mean": None if found is None else found.mean,
            "standard_deviation": None if found is None else found.deviation,
            "runs": " ".join(run.name for run in runs),
        }
        difference = line.differences.get(name)
        if difference is not None:
            low, high = difference.interval or (None, None)
            row |= {
                "baseline": contrast.baseline,
                "shared_seeds": difference.n,
                "difference": difference.mean,
                "ci_low": low,
                "ci_high": high,
                "wins": count_wins(name, difference),
            }
        rows.append({key: value for key, value in row.items() if value is not None})
    return rows


WRITERS: dict[str, Callable[[Comparison, Path], None]] = {
    ".md": _write_markdown,
    ".csv": _write_csv,
    ".tex": _write_latex,
}
