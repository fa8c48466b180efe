"""Accuracy in percent, with and without knowledge of an image's task."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def task_agnostic(scores: Tensor, labels: Tensor) -> float:
    """Return the percentage of images whose class has the largest score of all classes.

    Args:
        scores: ``(M, C)``.
        labels: classes in 0 .. C - 1, ``(M,)``.
    """
    return 100.0 * int((scores.argmax(dim=1) == labels).sum()) / len(labels)


def task_aware(scores: Tensor, labels: Tensor, classes: Sequence[int]) -> float:
    """Return the percentage of images whose class has the largest score of its task's classes.

    Never below ``task_agnostic``: a class with the largest score of all has the largest of its
    task. Of equal scores, both functions take the smaller class number.

    Args:
        scores: ``(M, C)``, finite.
        labels: classes in ``classes``, ``(M,)``.
        classes: the classes of the images' task.
    """
    allowed = scores.new_full(scores.shape[1:], float("-inf"))
    allowed[list(classes)] = 0
    return task_agnostic(scores + allowed, labels)
