"""Accuracies on labelled data beside the stream: rows of the CSV, and a table."""

from __future__ import annotations

from pipeline.reporting.gaps import format_cell
from pipeline.reporting.results import Results
from pipeline.reporting.text_formats import escape_markdown, show_controls

HEADING = "On other data"
COLUMNS = ["after_task", "data", "probe", "accuracy"]


def transfer_records(results: Results) -> list[dict[str, str | int | float]]:
    """Return the rows of transfer.csv, accuracies in percent; none where there are no other data.

    ``after_task`` is the number of tasks learnt, as in the other tables.
    """
    return [
        {
            "after_task": results.after_tasks[row.after_task],
            "data": row.data,
            "probe": probe,
            "accuracy": value,
        }
        for row in results.transfer
        for probe, value in row.accuracy.items()
    ]


def explain_transfer(results: Results) -> str:
    """Return what the accuracies on other data are, in sentences."""
    held = {
        row.data: f"{show_controls(row.data)}: {row.classes} classes, {row.images['train']} images "
        f"to learn from, {row.images['test']} to test on"
        for row in results.transfer
    }
    probes = "; ".join(
        f"{name}: {protocol.about}" for name, protocol in results.transfer_protocols.items()
    )
    return (
        "Accuracies in percent on the test images of labelled data that are not the stream's, "
        f"over all their classes, by probes that learn from their training images. {probes}. "
        f"{'; '.join(held.values())}."
    )


def transfer_columns(results: Results) -> list[tuple[str, str]]:
    """Return the columns of the table: data and probe."""
    return list(
        dict.fromkeys((row.data, probe) for row in results.transfer for probe in row.accuracy)
    )


def transfer_rows(results: Results) -> list[tuple[str, list[str]]]:
    """Return each state's name, with its accuracy for each column; a dash: not measured."""
    found = {
        (row.after_task, row.data, probe): value
        for row in results.transfer
        for probe, value in row.accuracy.items()
    }
    columns = transfer_columns(results)
    return [
        (results.row_name(state), [format_cell(found.get((state, *column))) for column in columns])
        for state in range(len(results.matrix))
    ]


def transfer_table(results: Results) -> list[str]:
    """Return the table in Markdown with its heading; nothing where there are no other data."""
    if not results.transfer:
        return []
    columns = [escape_markdown(f"{data}, {probe}") for data, probe in transfer_columns(results)]
    lines = [
        f"## {HEADING}",
        "",
        f"{escape_markdown(explain_transfer(results))} report.html draws them over the tasks.",
        "",
        f"| | {' | '.join(columns)} |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for name, cells in transfer_rows(results):
        lines.append(f"| {escape_markdown(name)} | " + " | ".join(cells) + " |")
    return lines
