"""The nearest class mean: nothing to choose."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.evaluation.base import FeatureProbe

BELOW_EVERY_COSINE = -2.0


class NearestMean(FeatureProbe):
    """The cosine between an image's features and the mean direction of each class.

    Means of unit vectors, brought to length 1 themselves, so the largest cosine is the
    smallest Euclidean distance. Source: iCaRL (Rebuffi et al., 2017, equation 2), which takes
    the means over a memory's images; here they are over all training images.
    """

    def scores(
        self,
        train: Tensor,
        labels: Tensor,
        test: Tensor,
        num_classes: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the cosines; a class without images is behind all others."""
        classes = functional.one_hot(labels, num_classes).to(train.dtype)
        means = functional.normalize(classes.T @ functional.normalize(train, dim=1), dim=1)
        cosine = functional.normalize(test, dim=1) @ means.T
        return torch.where(classes.any(dim=0), cosine, BELOW_EVERY_COSINE)
