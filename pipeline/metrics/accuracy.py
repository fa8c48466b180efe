"""Accuracy of scores, in percent, with and without knowing an image's task."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def task_agnostic(scores: Tensor, labels: Tensor) -> float:
    """Return the share of images whose class has the largest score of all, in percent.

    Args:
        scores: ``(M, C)``.
        labels: classes in 0 .. C - 1, ``(M,)``.
    """
    return 100.0 * int((scores.argmax(dim=1) == labels).sum()) / len(labels)


def task_aware(scores: Tensor, labels: Tensor, classes: Sequence[int]) -> float:
    """Return the share of images whose class has the largest score of its task's, in percent.

    Never below ``task_agnostic``: a class that is ahead of all is ahead of its task's. Of
    equal scores, both take the class of the smaller number.

    Args:
        scores: ``(M, C)``, finite.
        labels: classes in ``classes``, ``(M,)``.
        classes: the classes of the images' task.
    """
    allowed = scores.new_full(scores.shape[1:], float("-inf"))
    allowed[list(classes)] = 0
    return task_agnostic(scores + allowed, labels)
