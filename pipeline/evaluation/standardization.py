"""Bring each feature to mean 0 and standard deviation 1 over the training images."""

from __future__ import annotations

import torch
from torch import Tensor


def standardization(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each feature, ``(F,)`` each.

    A constant feature gets standard deviation 1: it stays, at zero.
    """
    std = features.std(dim=0, correction=0)
    # Not std == 0: the mean of equal values need not be that value to the last digit.
    constant = features.amax(dim=0) == features.amin(dim=0)
    return features.mean(dim=0), torch.where(constant, torch.ones_like(std), std)


def standardized(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Return both sets of features, brought to the training features' scale."""
    centre, spread = standardization(train)
    return (train - centre) / spread, (test - centre) / spread
