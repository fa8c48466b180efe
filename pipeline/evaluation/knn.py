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
        """Return each class's share of the votes.

        Classes without a vote come after those that have one, in the order of their nearest images:
        the cosine less 2. So a task-aware prediction is by the nearest image, too, where none of
        the k is of the task.
        """
        classes = functional.one_hot(labels, num_classes).to(train.dtype)
        directions = functional.normalize(train, dim=1)
        members = [(labels == label).nonzero()[:, 0] for label in range(num_classes)]
        scores = []
        for batch in torch.split(functional.normalize(test, dim=1), BATCH):
            cosines = batch @ directions.T
            cosine, nearest = cosines.topk(min(self.k, len(train)), dim=1)
            # A softmax: the votes over their sum, without overflow at a low temperature.
            votes = functional.softmax(cosine / self.temperature, dim=1)
            shares = torch.bmm(votes[:, None], classes[nearest])[:, 0]
            best = shares.new_full(shares.shape, -1)
            for label, places in enumerate(members):
                if len(places):
                    best[:, label] = cosines[:, places].amax(1)
            scores.append(torch.where(shares > 0, shares, best - 2))
        return torch.cat(scores)
