"""report: figures, tables and plots of the planned run."""

from __future__ import annotations

import subprocess
from typing import cast

from rich.console import Console

from pipeline.files import write_csv, write_json, write_text
from pipeline.layout import REPORTS
from pipeline.reporting import plots, tables, terminal
from pipeline.reporting.results import Results, read_results
from pipeline.stages.slots import part, require_slot


def run() -> None:
    """Write everything under reports/ and print the table.

    Raises:
        PipelineError: an evaluation, a split or a log of the run is missing or unreadable.
    """
    slot = require_slot("report")
    results = read_results(part(slot, "params"), cast(list[str], slot["evaluations"]))
    write_json(REPORTS / "metrics.json", results.metrics())
    write_json(REPORTS / "cost.json", results.cost())
    matrix_rows: list[dict[str, str | int | float]] = [
        {"after_task": after, "task": task, "accuracy": value}
        for after, row in zip(results.after_tasks, results.matrix, strict=True)
        for task, value in enumerate(row, start=1)
    ]
    write_csv(REPORTS / "accuracy_matrix.csv", ["after_task", "task", "accuracy"], matrix_rows)
    mean_rows: list[dict[str, str | int | float]] = [
        {"after_task": after, "average_accuracy": sum(row) / len(row)}
        for after, row in zip(results.after_tasks, results.matrix, strict=True)
    ]
    write_csv(REPORTS / "accuracy_over_tasks.csv", ["after_task", "average_accuracy"], mean_rows)
    _write_losses(results)
    plots.accuracy_matrix(results, REPORTS / "accuracy_matrix.png")
    plots.accuracy_over_tasks(results, REPORTS / "accuracy_over_tasks.png")
    plots.losses(results, REPORTS / "losses.png")
    plots.projections(results, REPORTS / "projections.png")
    write_text(REPORTS / "report.md", tables.markdown(results, git_revision()))
    terminal.show(results, Console())


def _write_losses(results: Results) -> None:
    """Write the loss terms of all tasks in one table, with epochs counted on."""
    columns = list(dict.fromkeys(name for row in results.epochs for name in row))
    rows: list[dict[str, str | int | float]] = [
        {"total_epoch": count, **row} for count, row in enumerate(results.epochs, start=1)
    ]
    write_csv(REPORTS / "losses.csv", ["total_epoch", *columns], rows)


def git_revision() -> str:
    """Return the checked-out commit, marked if what shapes a result differs from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        revision = git("rev-parse", "--short=12", "HEAD")
        # Not the whole tree: DVC has just moved dvc.lock and the reports.
        changed = git("status", "--porcelain", "--", "pipeline", "params.yaml", "dvc.yaml")
    except (OSError, subprocess.CalledProcessError):
        return "unknown (no git repository or no commit)"
    return f"{revision}, with uncommitted changes to code or params" if changed else revision
