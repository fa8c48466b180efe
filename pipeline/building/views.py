"""The augmentation that a plan describes."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.data.augmentation.augment import Augment
from pipeline.data.augmentation.view_augment import ViewAugment


def build_augment(
    dataset: DatasetPlan, views: Sequence[ViewAugment], rank: int = 0, processes: int = 1
) -> Augment:
    """The augmentation of a data set's images.

    Args:
        dataset: whose images.
        views: how each view is made; none where images are only normalized.
        rank: of this process.
        processes: that share each batch.
    """
    whole = dataset.files is not None and dataset.files.keep == "whole"
    return Augment(views, dataset.image_size, dataset.mean, dataset.std, rank, processes, whole)
