"""The change of the features from state to state, by linear CKA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.artifacts.evaluation import Evaluation


@dataclass(frozen=True)
class FeatureChange:
    """Linear CKA between the features of a state and of the previous state.

    Attributes:
        tasks: the CKA on each task's test images; None if features do not vary.
        learnt: the CKA on all test images of the tasks that the previous state had learnt;
            None for the first task.
    """

    tasks: list[float | None]
    learnt: float | None


def list_changes(rows: Sequence[Evaluation], num_tasks: int) -> list[FeatureChange]:
    """Return the change of each state except the first.

    Args:
        rows: the evaluations of all states.
        num_tasks: the number of tasks, T.
    """
    tasks = [str(task) for task in range(1, num_tasks + 1)]
    return [
        FeatureChange([row.cka.get(task) for task in tasks], row.cka_learnt) for row in rows[1:]
    ]


def average_change(changes: Sequence[FeatureChange], *, gone: bool) -> float | None:
    """Return the mean linear CKA of consecutive trained states on tasks already learnt.

    Args:
        changes: of each state except the first.
        gone: whether images of tasks are gone: then the mean is over what was measured.

    Returns:
        None if there are no two trained states, or if features do not vary.
    """
    found = [change.learnt for change in changes[1:]]
    known = [value for value in found if value is not None]
    return sum(known) / len(known) if known and (gone or len(known) == len(found)) else None
