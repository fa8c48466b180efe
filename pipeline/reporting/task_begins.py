"""Where each task begins along the epochs of all tasks, and what is written there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.reporting.results import Results

SHORTEST_NAME = 8  # characters; tasks that have less room are called by their numbers


@dataclass(frozen=True)
class TaskBegins:
    """The first epoch of each task, named.

    Attributes:
        epochs: counted from 1 over all tasks in a row.
        names: what is written at each.
        axis: the name of the axis of epochs, which explains the names.
    """

    epochs: Sequence[int]
    names: Sequence[str]
    axis: str


def find_begins(results: Results, room: int) -> TaskBegins:
    """Return where the tasks of a run begin.

    Args:
        results: of the run.
        room: characters that fit beside each other over all epochs.
    """
    rows, axis = results.epochs, "epochs, all tasks in a row"
    begins = [count for count, row in enumerate(rows, start=1) if row["epoch"] == "1"]
    shortest = min((after - before for before, after in pairwise(begins)), default=len(rows))
    each = room * shortest // len(rows) - len("1 · ")
    if results.at_once:
        return TaskBegins(begins, ["all tasks"], axis)
    if each < SHORTEST_NAME:
        numbers = [str(task) for task in range(1, len(begins) + 1)]
        return TaskBegins(begins, numbers, f"{axis} (numbers: tasks)")
    return TaskBegins(begins, results.name_tasks(each)[: len(begins)], axis)
