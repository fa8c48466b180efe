"""Signs of collapse: the spread of the projections and their effective rank."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.runtime.device import to_float64

COLLAPSED_STD = 0.1
COLLAPSED_RANK = 1.5


@torch.no_grad()
def projection_std(z: Tensor) -> float:
    """Return √D times the mean standard deviation of the unit vectors' dimensions.

    1: spread evenly over all directions; 0: all projections are equal (Chen and He, 2021,
    figure 2, which shows it without the factor √D).

    Args:
        z: projections ``(N, D)``.
    """
    unit = functional.normalize(to_float64(z), dim=1)
    return float(unit.std(dim=0, correction=0).mean() * z.shape[1] ** 0.5)


@torch.no_grad()
def rankme(z: Tensor) -> float:
    """Return the effective rank of ``z``: exp of the entropy of its singular values.

    From 1 to min(N, D) (RankMe, Garrido et al., 2023, equation 1).

    Args:
        z: projections ``(N, D)``; not centred.
    """
    # On the CPU: a GPU takes many times as long for so small a matrix.
    values = torch.linalg.svdvals(to_float64(z).cpu())
    share = values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)
    return float(torch.special.entr(share).sum().exp())
