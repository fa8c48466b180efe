"""The change of the features from state to state, by linear CKA."""

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
    """Linear CKA between the features of a state and of the previous state.

    Attributes:
        tasks: the CKA on each task's test images; None if features do not vary.
        learnt: the CKA on all test images of the tasks that the previous state had learnt;
            None for the first task.
    """

    tasks: list[float | None]
    learnt: float | None


def compare_states(
    states: Iterable[Features], num_tasks: int, shared: bool = False
) -> Iterator[FeatureChange]:
    """Compare each state with the previous one, with two states in memory at a time.

    Args:
        states: the features after task 0, 1, ...
        num_tasks: the number of tasks, T.
        shared: whether all tasks share the same test images.

    Yields:
        The change of each state except the first.
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
