"""The accuracy matrix and the headline metrics as text."""

from __future__ import annotations

from pipeline.artifacts.split import fingerprint_stream
from pipeline.files.sealed_json import Json
from pipeline.metrics.accuracy_matrix import average_measured
from pipeline.reporting import probe_tables as evaluation_tables
from pipeline.reporting.below_random import warn_of_shortfalls
from pipeline.reporting.gaps import format_cell, remark_on_gaps
from pipeline.reporting.results import Cells, Results
from pipeline.reporting.stream_map import TITLE
from pipeline.reporting.task_contents import describe_tasks, remark_on_tasks, tasks_heading
from pipeline.reporting.task_names import name_dataset, name_stream
from pipeline.reporting.text_formats import escape_markdown, escape_warning, format_json
from pipeline.reporting.transfer import transfer_table

HEADLINES = {
    "average_accuracy": "average accuracy A",
    "forgetting": "forgetting F",
    "forward_transfer": "forward transfer FT",
    "average_incremental_accuracy": "average incremental accuracy",
    "backward_transfer": "backward transfer BWT",
    "knowledge_gain": "knowledge gain K",
    "plasticity": "plasticity",
    "stability": "stability",
    "consolidation": "consolidation C",
    "cka": "CKA, state to state",
}


def headline(metrics: Json, name: str) -> str:
    """Return a headline metric as people read it, or undefined without a stream."""
    value = metrics[name]
    digits = 3 if name == "cka" else 1  # from 0 to 1; the others are in percent
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "undefined"


def matrix_cells(results: Results) -> tuple[list[str], list[list[str]]]:
    """Return the names of the matrix's columns and its cells, the mean last where there are more.

    A mean of one column says nothing new. Means are over measured cells; the others are dashes.
    """
    return format_rows(results.tested_on, results.shown)


def format_rows(columns: list[str], rows: Cells) -> tuple[list[str], list[list[str]]]:
    """Return the names of columns and the cells below as text, as ``matrix_cells`` does."""
    if len(columns) > 1:
        columns, rows = [*columns, "mean"], [[*row, average_measured(row)] for row in rows]
    return columns, [[format_cell(value) for value in row] for row in rows]


def markdown(results: Results, revision: str) -> str:
    """Return reports/report.md."""
    params = results.params
    lines = [
        f"# {escape_markdown(name_dataset(params))}, {name_stream(params['scenario'])}: "
        f"{params['method']} with {params['strategy']}",
    ]
    lines += _list_accuracies(results) if results.has_accuracies else _list_remarks(results)
    if table := transfer_table(results):
        lines += ["", *table]
    lines += [
        "",
        "## What each task holds",
        "",
        f"| task | {tasks_heading(results.splits)} | training images | test images |",
        "| ---: | --- | ---: | ---: |",
    ]
    for held in describe_tasks(results.splits, results.labelled):
        name = escape_markdown(held.name)
        lines.append(f"| {held.task} | {name} | {held.train} | {held.test} |")
    lines += ["", f"![{TITLE}](stream.png)"]
    for remark in remark_on_tasks(results.splits, results.labelled):
        lines += ["", escape_markdown(remark)]
    lines += ["", *_cost(results)]
    lines += [
        "",
        "![Loss terms over the epochs](losses.png)",
        "",
        "![Spread and effective rank of the projections](projections.png)",
        "",
        "## Where it comes from",
        "",
        f"- code: {revision}",
        f"- images: SHA-256 {fingerprint_stream(results.splits)['train']}",
        "- params:",
        "",
        "```json",
        format_json(params),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _list_accuracies(results: Results) -> list[str]:
    """Return the metrics, the matrix and the other tables of what was measured."""
    metrics = results.metrics()
    columns, rows = matrix_cells(results)
    whose = "each task's" if results.tested_by_task else "all"
    start = results.row_name(0)
    warning = warn_of_shortfalls(results.matrix, results.say_task, start)
    lines = [
        "",
        *([f"> **Below the {start}.** {escape_warning(warning)}", ""] if warning else []),
        f"Accuracies in percent: {results.protocol}.",
        "",
        f"| metric ({results.measured_by}) | value |",
        "| --- | ---: |",
        *(f"| {title} | {headline(metrics, name)} |" for name, title in HEADLINES.items()),
        "",
        "![Accuracy on each task after each task](accuracy_matrix.png)",
        "",
        "![Average accuracy over the tasks](accuracy_over_tasks.png)",
        "",
        f"## Accuracy on {whose} test images ({results.measured_by})",
        "",
        "| | " + " | ".join(map(escape_markdown, columns)) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for after, cells in enumerate(rows):
        name = escape_markdown(results.row_name(after))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += _list_remarks(results)
    lines += ["", *evaluation_tables.probe_table(results)]
    return [*lines, "", *evaluation_tables.representation_table(results)]


def _list_remarks(results: Results) -> list[str]:
    """Return the remarks on what was not measured."""
    return [line for remark in remark_on_gaps(results) for line in ("", escape_markdown(remark))]


def _cost(results: Results) -> list[str]:
    """Return the table of what training took."""
    lines = [
        "## What training took",
        "",
        "Looking back is what a strategy does when a task begins. CPU seconds are of both, by all "
        "threads. Passes are images through a "
        "backbone, forwards, for each view of each image of a batch; images are those views that "
        "passed backwards too. Held and carried are what "
        "the strategy keeps beside the network while it trains, and from task to task.",
        "",
        "| task | steps | seconds | looking back | CPU seconds | passes | images | held (MB) "
        "| carried (MB) "
        "| where |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for task, timing in enumerate(results.timings, start=1):
        held, carried = (
            f"{size / 1e6:.2f}" for size in (timing.strategy_bytes, timing.carried_bytes)
        )
        lines.append(
            f"| {'all' if results.at_once else task} | {timing.steps} | {timing.seconds} "
            f"| {timing.look_back_seconds} | {format_cell(timing.cpu_seconds)} "
            f"| {timing.forward_passes} | {format_cell(timing.images_backward, 0)} | {held} "
            f"| {carried} | {timing.device}, {timing.precision} |"
        )
    return lines
