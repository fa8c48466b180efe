"""report: metrics, tables, plots and the page of the planned run."""

from __future__ import annotations

import logging
import webbrowser
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from pipeline import layout
from pipeline.artifacts.evaluation import read_evaluations
from pipeline.artifacts.features import read_features
from pipeline.artifacts.plans.files import require_plan
from pipeline.artifacts.plans.report import ReportPlan
from pipeline.artifacts.view_sheet import describe_sheet, read_view_strips
from pipeline.files.atomic import write_text
from pipeline.files.csv_tables import write_csv
from pipeline.files.sealed_json import write_json, write_sealed
from pipeline.layout import REPORTS
from pipeline.metrics.accuracy_matrix import average_measured
from pipeline.reporting import plots, tables, terminal, transfer
from pipeline.reporting.code_name import name_code
from pipeline.reporting.comparing.runs import describe_run, read_run
from pipeline.reporting.costs import sum_costs
from pipeline.reporting.page.against import require_accuracies, require_same_tasks
from pipeline.reporting.page.page import Extras, render_page
from pipeline.reporting.results import Results
from pipeline.reporting.results_reading import read_results
from pipeline.reporting.stream_figure import draw_stream
from pipeline.runtime.inputs import Inputs

PAGE = REPORTS / "report.html"
# Beside the page, which DVC knows: another run is no dependency of the report.
COMPARISON = REPORTS / "against.html"

logger = logging.getLogger(__name__)


def run(inputs: Inputs, against: str | None = None, show: bool = False) -> None:
    """Write everything under reports/ and print the table.

    Args:
        inputs: what the report is made from.
        against: a git revision, branch or DVC experiment for a second page that sets it
            beside this run.
        show: whether to open the page (the second one, if there is one) in the browser.

    Raises:
        PipelineError: an evaluation, a split or a log of the run is missing or unreadable, or
            changed while the stage ran; or the other run cannot be read or has other tasks.
    """
    plan = require_plan(ReportPlan, "report")
    results = read_results(plan)
    revision = name_code()
    extras = _gather_extras(plan, results, revision)
    other = read_run(against) if against is not None else None
    if other is not None:
        require_accuracies(results)
        require_same_tasks(results, other)
    inputs.require_unchanged()
    write_tables(results)
    write_sealed(REPORTS / "run.json", describe_run(results))
    matrix, over_tasks = REPORTS / "accuracy_matrix.png", REPORTS / "accuracy_over_tasks.png"
    if results.has_accuracies:
        plots.draw_accuracy_matrix(results, matrix)
        plots.draw_accuracy_over_tasks(results, over_tasks)
    else:
        plots.draw_no_accuracies(matrix)
        plots.draw_no_accuracies(over_tasks)
    plots.draw_losses(results, REPORTS / "losses.png")
    plots.draw_projections(results, REPORTS / "projections.png")
    draw_stream(results, REPORTS / "stream.png")
    write_text(REPORTS / "report.md", tables.markdown(results, revision))
    write_text(PAGE, render_page(results, extras))
    if other is not None:
        write_text(COMPARISON, render_page(results, replace(extras, against=other)))
    # Drawing has taken its time.
    inputs.require_unchanged()
    terminal.print_results(results, Console())
    if show:
        _open(COMPARISON if other is not None else PAGE)


def write_tables(results: Results) -> None:
    """Write the tables and metrics under reports/, of what was measured."""
    write_json(REPORTS / "metrics.json", results.metrics())
    write_json(REPORTS / "cost.json", sum_costs(results.timings))
    _write_accuracies(results)
    _write_probes(results)
    _write_representations(results)
    _write_losses(results)
    write_csv(REPORTS / "transfer.csv", transfer.COLUMNS, transfer.transfer_records(results))


def _gather_extras(plan: ReportPlan, results: Results, revision: str) -> Extras:
    """The page's content beside the results: views and features, as far as they are here."""
    last = plan.last_state
    states = [layout.state(task) for task in range(last + 1)]
    return Extras(
        revision=revision,
        class_names=results.class_names,
        state_bytes=[path.stat().st_size if path.is_file() else None for path in states],
        view_strips=read_view_strips(
            layout.VIEWS, results.num_tasks, describe_sheet(plan.views, results.splits)
        ),
        features=read_features(read_evaluations(plan.evaluation).features),
    )


def _open(path: Path) -> None:
    """Show a page in the browser, or say where it is."""
    if not webbrowser.open(path.resolve().as_uri()):
        logger.warning("no browser could be opened; the page is %s", path.resolve())


def _write_accuracies(results: Results) -> None:
    """Write the measured cells of the matrix, and the mean of those of each row."""
    matrix_rows: list[dict[str, str | int | float]] = [
        {"after_task": after, "task": task, "accuracy": value}
        for after, row in zip(results.after_tasks, results.matrix, strict=True)
        for task, value in enumerate(row, start=1)
        if value is not None
    ]
    write_csv(REPORTS / "accuracy_matrix.csv", ["after_task", "task", "accuracy"], matrix_rows)
    mean_rows: list[dict[str, str | int | float]] = [
        {"after_task": after, "average_accuracy": round(mean, 4)}
        for after, row in zip(results.after_tasks, results.matrix, strict=True)
        if (mean := average_measured(row)) is not None
    ]
    write_csv(REPORTS / "accuracy_over_tasks.csv", ["after_task", "average_accuracy"], mean_rows)


def _write_probes(results: Results) -> None:
    """Write every probe's measured accuracies in one table, with its protocol."""
    columns = ["after_task", "probe", "task", "task_agnostic", "task_aware", "protocol"]
    rows: list[dict[str, str | int | float]] = []
    for name, probed in results.probes.items():
        both = zip(results.after_tasks, probed.task_agnostic, probed.task_aware, strict=True)
        for after, agnostic, aware in both:
            pairs = zip(agnostic, aware, strict=True)
            for task, measured in _measured(pairs, ("task_agnostic", "task_aware")):
                named = {"probe": name, "protocol": results.name_protocol(name)}
                rows.append({"after_task": after, "task": task, **named, **measured})
    rows.sort(key=lambda row: row["after_task"])
    write_csv(REPORTS / "probes.csv", columns, rows)


def _write_representations(results: Results) -> None:
    """Write what is known of every state's features; what is not known is an empty cell."""
    names = ("rank", "cka", "consolidation")
    rows: list[dict[str, str | int | float]] = []
    nothing: list[float | None] = [None] * results.num_tasks
    similar = [nothing, *(change.tasks for change in results.changes)]
    states = zip(results.after_tasks, results.ranks, similar, results.consolidation, strict=True)
    for after, *found in states:
        for task, known in _measured(zip(*found, strict=True), names):
            rows.append({"after_task": after, "task": task, **known})
    write_csv(REPORTS / "representations.csv", ["after_task", "task", *names], rows)


def _measured(
    found: Iterable[Sequence[float | None]], names: Sequence[str]
) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield each task's number with what was measured of it, by name; no task with nothing."""
    for task, values in enumerate(found, start=1):
        known = {
            name: value for name, value in zip(names, values, strict=True) if value is not None
        }
        if known:
            yield task, known


def _write_losses(results: Results) -> None:
    """Write the loss terms of all tasks in one table, with epochs counted on."""
    columns = list(dict.fromkeys(name for row in results.epochs for name in row))
    rows: list[dict[str, str | int | float]] = [
        {"total_epoch": count, **row} for count, row in enumerate(results.epochs, start=1)
    ]
    write_csv(REPORTS / "losses.csv", ["total_epoch", *columns], rows)
