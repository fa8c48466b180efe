"""The accuracy matrix and the headline figures as text."""

from __future__ import annotations

import json
from typing import cast

from pipeline.files import Json
from pipeline.reporting.results import Results

HEADLINES = {
    "average_accuracy": "average accuracy A",
    "forgetting": "forgetting F",
    "forward_transfer": "forward transfer FT",
}


def protocol(params: Json) -> str:
    """Say how the accuracies came about."""
    linear = cast(Json, params["linear_eval"])
    scale = "standardised" if linear["standardize"] else "plain"
    return (
        "offline linear evaluation after each task, one linear classifier over all classes on "
        f"frozen, {scale} features of all training images (SGD, {linear['epochs']} epochs), "
        "no class masked"
    )


def row_name(after_task: int) -> str:
    """Return how tables and plots name a row of the matrix."""
    return "random network" if after_task == 0 else f"after task {after_task}"


def headline(metrics: Json, name: str) -> str:
    """Return a headline figure as people read it: percent, or undefined for one task."""
    value = cast(float | None, metrics[name])
    return "undefined (one task)" if value is None else f"{value:.1f}"


def markdown(results: Results, revision: str) -> str:
    """Return reports/report.md."""
    params, metrics = results.params, results.metrics()
    tasks = range(1, results.num_tasks + 1)
    lines = [
        f"# {params['dataset']}, {params['scenario']}-incremental: "
        f"{params['method']} with {params['strategy']}",
        "",
        f"Accuracies in percent: {protocol(params)}.",
        "",
        "| figure | value |",
        "| --- | ---: |",
        *(f"| {title} | {headline(metrics, name)} |" for name, title in HEADLINES.items()),
        "",
        "![Accuracy on each task after each task](accuracy_matrix.png)",
        "",
        "![Average accuracy over the tasks](accuracy_over_tasks.png)",
        "",
        "## Accuracy on each task's test images",
        "",
        "| | " + " | ".join(f"task {task}" for task in tasks) + " | mean |",
        "| --- |" + " ---: |" * (results.num_tasks + 1),
    ]
    for after, row in enumerate(results.matrix):
        cells = [f"{value:.1f}" for value in [*row, sum(row) / len(row)]]
        lines.append(f"| {row_name(after)} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## What each task holds",
        "",
        "| task | classes | training images | test images | steps | seconds | where |",
        "| ---: | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for split, timing in zip(results.splits, results.timings, strict=True):
        names = ", ".join(cast(list[str], split["class_names"]))
        train, test = cast(list[int], split["train"]), cast(list[int], split["test"])
        lines.append(
            f"| {split['task']} | {names} | {len(train)} | {len(test)} | {timing['steps']} "
            f"| {timing['seconds']} | {timing['device']}, {timing['precision']} |"
        )
    sizes = {len(cast(list[int], split["classes"])) for split in results.splits}
    if len(sizes) > 1:
        counts = " or ".join(str(size) for size in sorted(sizes))
        lines += ["", f"The classes do not divide evenly: tasks hold {counts} classes."]
    lines += [
        "",
        "![Loss terms over the epochs](losses.png)",
        "",
        "![Spread and effective rank of the projections](projections.png)",
        "",
        "## Where it comes from",
        "",
        f"- code: git revision {revision}",
        f"- images: SHA-256 {cast(Json, results.splits[0]['fingerprint'])['train']}",
        "- params:",
        "",
        "```json",
        json.dumps(params, indent=2),
        "```",
    ]
    return "\n".join(lines) + "\n"
