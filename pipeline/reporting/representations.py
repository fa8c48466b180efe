"""How the features change from state to state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts.features import Features
from pipeline.metrics.cka import linear_cka


@dataclass(frozen=True)
class FeatureChange:
    """Linear CKA between a state's features and those of the state before.

    Attributes:
        tasks: on each task's test images, one a task; None where features do not vary.
        learnt: on all test images of the tasks that the state before had learnt; None for
            the first task, which had none before it.
    """

    tasks: list[float | None]
    learnt: float | None


def compare_states(
    states: Iterable[Features], num_tasks: int, shared: bool = False
) -> Iterator[FeatureChange]:
    """Compare each state with the one before, two at a time in memory.

    Args:
        states: the features after task 0, 1, ...
        num_tasks: the number of tasks, T.
        shared: whether all images are the test images of every task.

    Yields:
        One for each state but the first.
    """
    for after, (old, new) in enumerate(pairwise(states), start=1):
        if shared:
            same = _cka(old, new, new.tasks > 0)
            yield FeatureChange([same] * num_tasks, same if after > 1 else None)
            continue
        tasks = [_cka(old, new, new.tasks == task) for task in range(1, num_tasks + 1)]
        learnt = _cka(old, new, new.tasks < after) if after > 1 else None
        yield FeatureChange(tasks, learnt)


def _cka(old: Features, new: Features, images: NDArray[np.bool_]) -> float | None:
    return linear_cka(old.features[images], new.features[images])
