"""Tables of all probes' accuracies, and of the representations' rank and CKA."""

from __future__ import annotations

from pipeline.metrics.accuracy_matrix import (
    average_accuracy,
    average_measured,
    forgetting,
    forward_transfer,
)
from pipeline.reporting.gaps import format_cell
from pipeline.reporting.results import Results
from pipeline.reporting.text_formats import escape_markdown

BY_CLASS = "A, F and FT over all classes, percent"
OWN_CLASSES = (
    "the last column: A where each image is told apart from the classes of its own task only"
)
BY_DOMAIN = "A, F and FT of one classifier for all domains, percent"
OWN_DOMAIN = (
    "the last column: A of one classifier a domain, which learnt from that domain's training "
    "images alone"
)
ABOUT_REPRESENTATIONS = (
    "Of the features of each task's test images: the effective rank (RankMe), and after the "
    "stroke the linear CKA with the state before (1: the same but for rotation and scale)."
)
ABOUT_CONSOLIDATION = (
    "The last column: consolidation C, the mean over the tasks of the percentage of images that "
    "nearest neighbours tell to be of their own task."
)


def tasks_are_domains(results: Results) -> bool:
    """Return whether the stream's tasks are domains."""
    return results.splits[0].domain is not None


def has_task_aware(results: Results) -> bool:
    """Return whether an accuracy within the task was measured by any probe.

    None is where all tasks share labelled images of elsewhere.
    """
    return any(
        cell is not None
        for probed in results.probes.values()
        for row in probed.task_aware
        for cell in row
    )


def explain_columns(results: Results) -> str:
    """Return an explanation of the probe table's columns."""
    domains = tasks_are_domains(results)
    said = [BY_DOMAIN if domains and results.labelled is None else BY_CLASS]
    if has_task_aware(results):
        said.append(OWN_DOMAIN if domains else OWN_CLASSES)
    return f"{'; '.join(said)}."


def probe_columns(results: Results) -> list[str]:
    """Return the headings of the probe table's columns of numbers."""
    aware = "A, domain-aware" if tasks_are_domains(results) else "A, task-aware"
    return ["A", "F", "FT", *([aware] if has_task_aware(results) else [])]


def probe_rows(results: Results) -> list[tuple[str, str, list[str]]]:
    """Return each probe's name, its protocol and its metrics as ``probe_columns`` has them."""
    rows = []
    for name, probed in results.probes.items():
        matrix = probed.task_agnostic
        values: list[float | None] = [average_accuracy(matrix)]
        values += [results.by_task(metric, matrix) for metric in (forgetting, forward_transfer)]
        values += [average_accuracy(probed.task_aware)] if has_task_aware(results) else []
        cells = [format_cell(value) for value in values]
        rows.append((name, results.name_protocol(name), cells))
    return rows


def explain_representations(results: Results) -> str:
    """Return an explanation of the table of representations."""
    told = f" {ABOUT_CONSOLIDATION}" if _has_consolidation(results) else ""
    return f"{ABOUT_REPRESENTATIONS}{told}"


def representation_columns(results: Results) -> list[str]:
    """Return the headings of the table of representations."""
    return [*results.tested_on, *(["C"] if _has_consolidation(results) else [])]


def representation_rows(results: Results) -> list[tuple[str, list[str]]]:
    """Return each state's name, with rank and CKA for each column, then the consolidation.

    Where neither is known there is a dash.
    """
    rows = []
    for after, ranks in enumerate(results.ranks):
        shown = ranks[: results.columns]
        cells = [format_cell(rank) for rank in shown]
        if after:
            change = results.changes[after - 1].tasks[: len(shown)]
            cells = [_rank_and_cka(*pair) for pair in zip(shown, change, strict=True)]
        if _has_consolidation(results):
            cells.append(format_cell(average_measured(results.consolidation[after])))
        rows.append((results.row_name(after), cells))
    return rows


def _has_consolidation(results: Results) -> bool:
    """Whether any state was asked to tell tasks apart, which takes two of its own images."""
    return any(cell is not None for row in results.consolidation for cell in row)


def _rank_and_cka(rank: float | None, cka: float | None) -> str:
    if rank is None and cka is None:
        return format_cell(None)
    return f"{format_cell(rank)} / {format_cell(cka, 2)}"


def probe_table(results: Results) -> list[str]:
    """Return the probe table in Markdown, one probe a row."""
    lines = [
        "## What each probe says",
        "",
        explain_columns(results),
        "",
        f"| probe | protocol | {' | '.join(probe_columns(results))} |",
        "| --- | --- |" + " ---: |" * len(probe_columns(results)),
    ]
    for name, protocol, cells in probe_rows(results):
        title = f"**{name}** (headline)" if name == results.headline else name
        lines.append(f"| {title} | {protocol} | " + " | ".join(cells) + " |")
    return lines


def representation_table(results: Results) -> list[str]:
    """Return the table of ranks and CKA in Markdown, one state a row."""
    columns = representation_columns(results)
    lines = [
        "## What changed inside the network",
        "",
        explain_representations(results),
        "",
        "| | " + " | ".join(map(escape_markdown, columns)) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for name, cells in representation_rows(results):
        lines.append(f"| {escape_markdown(name)} | " + " | ".join(cells) + " |")
    return lines
