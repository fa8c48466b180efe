"""Consolidation: whether features tell the tasks apart (Osiris, Zhang et al., 2024)."""

from __future__ import annotations

import torch

from pipeline.evaluation.base import FeatureProbe
from pipeline.evaluation.examples import Examples
from pipeline.metrics.accuracy import task_agnostic


def tell_tasks_apart(
    probe: FeatureProbe, train: Examples, test: Examples, generator: torch.Generator
) -> dict[int, float]:
    """Return the percentage of each task's images that a probe says to be of that task.

    The probe learns from the training images, whose labels are the numbers of their tasks. Chance
    is one in the number of tasks. Where all tasks share their test images, which are then of
    none, it learns from every other training image and is asked about the rest.

    Args:
        probe: such as the nearest neighbours, which the source has.
        train: features of training images, by task.
        test: likewise of test images, of the same tasks unless they share them.
        generator: of the probe.

    Returns:
        By the task's number; nothing of fewer than two tasks.
    """
    tasks, learnt = torch.unique(train.tasks, return_inverse=True)
    if len(tasks) < 2:
        return {}
    if test.shared:
        known, learnt, asked, right = (
            *(train.features[::2], learnt[::2]),
            *(train.features[1::2], learnt[1::2]),
        )
    else:
        known, asked, right = train.features, test.features, torch.searchsorted(tasks, test.tasks)
    scores = probe.scores(known, learnt, asked, len(tasks), generator)
    return {
        number: task_agnostic(scores[right == place], right[right == place])
        for place, number in enumerate(tasks.tolist())
    }
