"""Remarks on the matrix: accuracies that were not measured, and the network it starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.metrics.accuracy_matrix import average_measured
from pipeline.reporting.start import PRETRAINED, RANDOM_NETWORK, find_source
from pipeline.reporting.task_contents import are_tested

if TYPE_CHECKING:
    from pipeline.reporting.results import Results

NOT_MEASURED = "–"
GONE = (
    "†: the images of this task are no longer here; its accuracies were measured while they were, "
    "over the classes and by the probes of that time."
)
NOT_DUE = "a state is tested on the tasks it has learnt and on the next one"
UNLABELLED = "–: the images of {} have no labels, so nothing is measured on them."
UNTESTED = (
    "No task has labelled test images, so no accuracy is measured on them. To measure some, name a "
    "folder of class folders as data.labelled_root: no task trains again for it."
)
NOT_BEGUN = (
    "– in the first row: the classifier learns while the network is trained, and the "
    "{} is not; so FT and plasticity are undefined."
)
NOT_HERE = "the images of the task were no longer here when the state was tested"


def format_cell(value: float | None, digits: int = 1) -> str:
    """Return a number as text, a dash if it was not measured or is undefined."""
    return NOT_MEASURED if value is None else f"{value:.{digits}f}"


def remark_on_gaps(results: Results) -> list[str]:
    """Return remarks on the matrix's gaps and its first row, a few sentences each; may be none."""
    if not are_tested(results.splits, results.labelled):
        return [UNTESTED]
    rows = dict(zip(results.after_tasks, results.shown, strict=True))
    not_begun = results.headline_learns_while_training
    if not_begun:
        del rows[0]
    # With one shared test set no column is a task's own.
    by_task = results.tested_by_task
    unlabelled = [split.task for split in results.splits if by_task and not split.classes]
    named = ", ".join(results.say_task(task) for task in unlabelled)
    return [
        *([NOT_BEGUN.format(results.row_name(0))] if not_begun else []),
        *_explain_dashes(rows, unlabelled),
        *([UNLABELLED.format(named)] if unlabelled else []),
        *([GONE] if results.gone and by_task else []),
        *_remark_on_classes(results),
        *_remark_on_start(results),
    ]


def remark_on_row(tasks_learnt: int, row: Sequence[float | None], gone: Sequence[int]) -> list[str]:
    """Return remarks on the gaps of one state's accuracies; none without gaps.

    Args:
        tasks_learnt: the number of tasks that the state has learnt.
        row: its accuracy on each task; None: not measured.
        gone: the tasks whose images are no longer here.
    """
    return [*_explain_dashes({tasks_learnt: row}), *([GONE] if gone else [])]


def _explain_dashes(
    rows: Mapping[int, Sequence[float | None]], unlabelled: Sequence[int] = ()
) -> list[str]:
    """Return why accuracies are missing; empty if none is.

    Args:
        rows: one accuracy a task, by the number of tasks learnt.
        unlabelled: tasks on which nothing is measured.
    """
    missing = [
        (learnt, task)
        for learnt, row in rows.items()
        for task, value in enumerate(row, start=1)
        if value is None and task not in unlabelled
    ]
    if not missing:
        return []
    not_due = any(task > learnt + 1 for learnt, task in missing)
    not_here = any(task <= learnt + 1 for learnt, task in missing)
    reason = NOT_DUE if not_due else NOT_HERE
    if not_due and not_here:
        reason += ", and only while their images are here"
    return [f"{NOT_MEASURED}: not measured: {reason}. Means are over what was measured."]


def _remark_on_classes(results: Results) -> list[str]:
    """Return a remark on rows whose probes choose from another number of classes than the last."""
    if len(set(results.row_classes)) < 2:
        return []
    last = results.row_classes[-1]
    others = ", ".join(
        f"{results.row_name(row)} ({count})"
        for row, count in enumerate(results.row_classes)
        if count != last
    )
    return [
        f"In the last row the probes choose from {last} classes, in other rows from another "
        f"number: {others}. Rows over fewer classes are easier and are not comparable with the "
        "last one. Metrics that compare rows, such as forgetting, are affected as well."
    ]


def _remark_on_start(results: Results) -> list[str]:
    """Return a remark on the pretrained network and the random one; none without weights."""
    source = find_source(results.params)
    if source is None:
        return []
    said = (
        f"The {PRETRAINED} is state 0, with the weights of {source}; FT and plasticity count from "
        "it."
    )
    random = results.random
    average = None if random is None else average_measured(random)
    if random is None or average is None:
        return [said]
    metrics = results.metrics()
    gains = [
        f"{title} {value:.1f}"
        for name, title in (("forward_transfer_random", "FT"), ("plasticity_random", "plasticity"))
        if isinstance(value := metrics[name], int | float)
    ]
    said += f" The {RANDOM_NETWORK} has A {average:.1f} on the same images"
    said += f"; counted from that, {' and '.join(gains)}." if gains else "."
    lost = metrics["forgetting_from_start"]
    if isinstance(lost, int | float):
        said += f" With state 0 among each task's best, forgetting F is {lost:.1f}."
    return [said]
