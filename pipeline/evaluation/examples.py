"""Features of a part's images, with their labels and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """Features of a part's images, task after task.

    Attributes:
        features: float32 ``(N, F)``.
        labels: ``(N,)``.
        tasks: the task that each image belongs to, from 1, ``(N,)``; 1 where all tasks share
            the images.
        shared: whether they do.
    """

    features: Tensor
    labels: Tensor
    tasks: Tensor
    shared: bool

    def of(self, task: int) -> Examples:
        """Return those of one task."""
        if self.shared:
            return self
        chosen = self.tasks == task
        return Examples(self.features[chosen], self.labels[chosen], self.tasks[chosen], False)

    def within(self, classes: Sequence[int]) -> Examples:
        """Return those of some classes."""
        known = torch.tensor(classes, dtype=torch.int64, device=self.labels.device)
        chosen = torch.isin(self.labels, known)
        return Examples(self.features[chosen], self.labels[chosen], self.tasks[chosen], self.shared)


def renumber(examples: Examples, classes: Sequence[int]) -> Examples:
    """Return examples whose labels count some classes from 0.

    Args:
        examples: of these classes alone.
        classes: their labels, sorted.
    """
    known = torch.tensor(classes, device=examples.labels.device)
    return replace(examples, labels=torch.searchsorted(known, examples.labels))
