"""The plan of ``views``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.data.augmentation.view_augment import ViewAugment


@dataclass(frozen=True)
class ViewsPlan:
    """The sheet of augmented views.

    Attributes:
        dataset: the data set.
        views: how each view of an image is made.
        num_tasks: tasks of the stream.
        code: the fingerprint of the stage's code.
    """

    dataset: DatasetPlan
    views: Sequence[ViewAugment]
    num_tasks: int
    code: str
