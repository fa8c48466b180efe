"""Weighted k-nearest neighbours: no training at all."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.evaluation.base import FeatureProbe

BATCH = 1024  # test images that are compared with all training images at once


class KNearestNeighbours(FeatureProbe):
    """The k nearest training images vote, each with exp(cosine / temperature).

    Source: Wu et al., 2018, section 3.4.

    Args:
        k: how many vote; all, if there are fewer.
        temperature: the smaller, the more the nearest count.
    """

    def __init__(self, *, k: int, temperature: float) -> None:
        self.k = k
        self.temperature = temperature

    def scores(
        self,
        train: Tensor,
        labels: Tensor,
        test: Tensor,
        num_classes: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Return each class's share of the votes."""
        classes = functional.one_hot(labels, num_classes).to(train.dtype)
        directions = functional.normalize(train, dim=1)
        shares = []
        for batch in torch.split(functional.normalize(test, dim=1), BATCH):
            cosine, nearest = (batch @ directions.T).topk(min(self.k, len(train)), dim=1)
            # A softmax: the votes over their sum, without overflow at a low temperature.
            votes = functional.softmax(cosine / self.temperature, dim=1)
            shares.append(torch.bmm(votes[:, None], classes[nearest])[:, 0])
        return torch.cat(shares)
