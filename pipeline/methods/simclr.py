"""SimCLR (Chen et al., 2020): contrast each image's two views with all others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.distributed.collectives import gather_rows
from pipeline.methods.base import Encoded, Views
from pipeline.methods.contrastive import ContrastiveDistillation
from pipeline.methods.precision import in_float32
from pipeline.models.backbone import Backbone
from pipeline.models.heads import mlp


@in_float32
def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """Normalised-temperature cross-entropy over the 2N views (SimCLR, equation 1).

    For each view the positive is the other view of its image, the negatives are the
    2N - 2 views of the other images; similarities are cosines over ``temperature``.

    Args:
        z1: projections of the first views, ``(N, D)``.
        z2: projections of the second views, ``(N, D)``.
        temperature: τ > 0.

    Returns:
        The mean over the 2N views, a scalar. 0 for N = 1: there is nothing to contrast.
    """
    z = functional.normalize(torch.cat([z1, z2]), dim=1)
    similarity = (z @ z.T / temperature).fill_diagonal_(float("-inf"))
    positive = torch.arange(len(z), device=z.device).roll(len(z1))
    return functional.cross_entropy(similarity, positive)


class SimCLR(ContrastiveDistillation):
    """SimCLR with an MLP projector without BatchNorm.

    Args:
        backbone: the network to train.
        temperature: τ of the objective.
        distill_temperature: τ of the distillation; 0.2 in the reference.
        projector: sizes of the projector's hidden layers and output.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        temperature: float,
        distill_temperature: float,
        projector: Sequence[int],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projector = mlp([backbone.num_features, *projector], batch_norm=False)
        self.projection_dim = projector[-1]
        self.temperature = temperature
        self.distill_temperature = distill_temperature

    def loss(self, views: Views, encoded: Encoded) -> Tensor:
        """NT-Xent between the two views of the global batch."""
        z1, z2 = (gather_rows(z) for z in encoded.projections)
        return nt_xent(z1, z2, self.temperature)
