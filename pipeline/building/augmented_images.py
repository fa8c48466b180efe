"""Labelled training images in front of a frozen backbone, augmented anew at each reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.building.views import build_augment
from pipeline.data.augmentation.view_augment import ViewAugment
from pipeline.data.batches import Images, training_batches
from pipeline.models.backbone import Backbone


class AugmentedImages:
    """Training images as ``pipeline.evaluation.base.TrainingImages`` has them.

    Args:
        dataset: how images enter the network.
        images: the images.
        labels: their classes, counted from 0, ``(N,)``, on the backbone's device.
        backbone: the frozen network; put in eval mode.
    """

    def __init__(
        self, dataset: DatasetPlan, images: Images, labels: Tensor, backbone: Backbone
    ) -> None:
        assert len(images) == len(labels), f"{len(labels)} labels for {len(images)} images"
        self.dataset = dataset
        self.images = images
        self.labels = labels
        self.backbone = backbone.eval()
        self.num_features = backbone.num_features

    def read_features(
        self, batches: Sequence[Tensor], view: ViewAugment, generator: torch.Generator
    ) -> Iterator[Tensor]:
        """Yield the features of a new view of each image, batch by batch."""
        augment = build_augment(self.dataset, (view,))
        for images in training_batches(self.images, [batch.tolist() for batch in batches]):
            (views,) = augment(images.to(self.labels.device), generator)
            with torch.no_grad():
                features = self.backbone(views.contiguous(memory_format=torch.channels_last))
            yield features.float()
