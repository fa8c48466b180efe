"""Linear evaluation as published: SGD on random crops and flips of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.data.augmentation.view_augment import ViewAugment
from pipeline.data.interpolation import Interpolation
from pipeline.evaluation.base import ImageProbe, TrainingImages
from pipeline.evaluation.sgd import SgdSchedule, fit_linear_classifier, score_linear


@dataclass(frozen=True, kw_only=True)
class LinearAugmented(SgdSchedule, ImageProbe):
    """The offline protocol: each epoch sees another crop of each image, through the network.

    The features are plain, and images that do not fill an epoch's last batch are left out. The
    frozen network is in eval mode. Test images are not augmented. Source: the linear evaluation
    of CaSSLe's public code.

    Differs from the reference: the classifier starts from zero weights.

    Attributes:
        crop_scale: smallest and largest share of the area that a crop keeps.
        interpolation: how crops are resized.
        flip: probability of a horizontal flip.
    """

    stream = "augmented linear evaluation"

    crop_scale: Sequence[float]
    interpolation: Interpolation
    flip: float

    @property
    def view(self) -> ViewAugment:
        """A random crop, flipped or not; the colours stay."""
        low, high = self.crop_scale
        return ViewAugment(
            crop_scale=(low, high),
            flip=self.flip,
            jitter=0.0,
            brightness=0.0,
            contrast=0.0,
            saturation=0.0,
            hue=0.0,
            grey=0.0,
            blur=0.0,
            solarize=0.0,
            interpolation=self.interpolation,
        )

    def scores(
        self, train: TrainingImages, test: Tensor, num_classes: int, generator: torch.Generator
    ) -> Tensor:
        """Return the classifier's outputs.

        Raises:
            RunError: the schedule diverged.
        """
        classifier = fit_linear_classifier(
            lambda batches: train.read_features(batches, self.view, generator),
            train.num_features,
            train.labels,
            num_classes,
            self,
            generator,
            drop_last=True,
        )
        param = "evaluation.linear_augmented.learning_rate"
        return score_linear(classifier, test, param, self.learning_rate)
