"""Barlow Twins (Zbontar et al., 2021): make the views' cross-correlation the identity."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pipeline.distributed.collectives import gather_rows
from pipeline.methods.base import Encoded, Method, Views
from pipeline.methods.precision import in_float32
from pipeline.models.backbone import Backbone
from pipeline.models.heads import mlp

EPS = 1e-5  # of the variance, as in BatchNorm


@in_float32
def barlow_twins_loss(z1: Tensor, z2: Tensor, redundancy_weight: float, scale: float) -> Tensor:
    """Return scale · [Σ_i (1 - C_ii)² + λ Σ_{i≠j} C_ij²] (Barlow Twins, equation 1).

    C is the cross-correlation between the dimensions of the two sets of vectors, each
    dimension brought to mean 0 and variance 1 over the batch.

    Args:
        z1: ``(N, D)``.
        z2: ``(N, D)``, in the same order.
        redundancy_weight: λ.
        scale: a factor on all of it; 0.1 in the reference.

    Returns:
        A scalar. Vectors that do not vary over the batch have C = 0.
    """
    normal1 = (z1 - z1.mean(dim=0)) / (z1.var(dim=0, correction=0) + EPS).sqrt()
    normal2 = (z2 - z2.mean(dim=0)) / (z2.var(dim=0, correction=0) + EPS).sqrt()
    correlation = normal1.T @ normal2 / len(z1)
    diagonal = correlation.diagonal()
    on_diagonal = (1 - diagonal).square().sum()
    off_diagonal = (correlation - diagonal.diag()).square().sum()
    return scale * (on_diagonal + redundancy_weight * off_diagonal)


class BarlowTwins(Method):
    """Barlow Twins with a projector with BatchNorm.

    Args:
        backbone: the network to train.
        projector: sizes of the projector's hidden layers and output.
        redundancy_weight: λ, the weight of the off-diagonal terms.
        scale: a factor on the loss, and so on the distillation.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        projector: Sequence[int],
        redundancy_weight: float,
        scale: float,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projector = mlp([backbone.num_features, *projector], batch_norm=True)
        self.projection_dim = projector[-1]
        self.redundancy_weight = redundancy_weight
        self.scale = scale

    def loss(self, views: Views, encoded: Encoded) -> Tensor:
        """Decorrelate the dimensions and correlate the views."""
        z1, z2 = encoded.projections
        return self.compare(z1, z2)

    def compare(self, predicted: Tensor, past: Tensor) -> Tensor:
        """Return the same loss between prediction and past, over the global batch."""
        return barlow_twins_loss(
            gather_rows(predicted), gather_rows(past), self.redundancy_weight, self.scale
        )
