"""Multi-layer perceptrons on top of features: projectors and predictors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def mlp(widths: Sequence[int], *, batch_norm: bool) -> nn.Sequential:
    """Return linear layers through ``widths`` with ReLU (and BatchNorm) between them.

    Args:
        widths: sizes from the input to the output, at least two.
        batch_norm: whether each hidden layer has BatchNorm before its ReLU. Its linear layer
            then has no bias, because BatchNorm would subtract it again.
    """
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths[:-1]):
        layers.append(nn.Linear(width_in, width_out, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm1d(width_out))
        layers.append(nn.ReLU(inplace=True))
    layers.append(nn.Linear(widths[-2], widths[-1]))
    return nn.Sequential(*layers)
