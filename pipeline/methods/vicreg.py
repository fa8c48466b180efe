"""VICReg (Bardes et al., 2022): variance, invariance and covariance regularisation."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from pipeline.distributed.collectives import gather_rows
from pipeline.methods.base import Encoded, Method, Views
from pipeline.methods.precision import in_float32
from pipeline.models.backbone import Backbone
from pipeline.models.heads import mlp

EPS = 1e-4  # of the variance under the root, the paper's
TARGET = 1.0  # of the standard deviation, the paper's γ


@in_float32
def invariance(z1: Tensor, z2: Tensor) -> Tensor:
    """Mean squared difference between ``z1`` and ``z2``, both ``(N, D)`` (VICReg, equation 5).

    Differs from the paper: the mean is also over the D dimensions, as in the code of the
    paper and of the reference.
    """
    return functional.mse_loss(z1, z2)


@in_float32
def variance(z: Tensor) -> Tensor:
    """Mean over the dimensions of max(0, 1 - std), ``z``: ``(N, D)`` (VICReg, equation 1).

    The standard deviation is sqrt(var + 1e-4), var the unbiased variance over the batch.

    Raises:
        ValueError: one vector alone has no variance.
    """
    if len(z) < 2:
        raise ValueError(f"the variance of VICReg needs 2 or more vectors, got {len(z)}")
    return functional.relu(TARGET - (z.var(dim=0) + EPS).sqrt()).mean()


@in_float32
def covariance(z: Tensor) -> Tensor:
    """Sum of the squared off-diagonal covariances over D, ``z``: ``(N, D)`` (equation 4).

    Raises:
        ValueError: one vector alone has no covariance.
    """
    count, size = z.shape
    if count < 2:
        raise ValueError(f"the covariance of VICReg needs 2 or more vectors, got {count}")
    centred = z - z.mean(dim=0)
    matrix = centred.T @ centred / (count - 1)
    return (matrix - matrix.diagonal().diag()).square().sum() / size


class VICReg(Method):
    """VICReg with a projector with BatchNorm.

    Args:
        backbone: the network to train.
        projector: sizes of the projector's hidden layers and output.
        invariance_weight: the weight of the invariance term, and of the distillation.
        variance_weight: the weight of the variance term of each view.
        covariance_weight: the weight of the covariance term of each view.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        projector: Sequence[int],
        invariance_weight: float,
        variance_weight: float,
        covariance_weight: float,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projector = mlp([backbone.num_features, *projector], batch_norm=True)
        self.projection_dim = projector[-1]
        self.invariance_weight = invariance_weight
        self.variance_weight = variance_weight
        self.covariance_weight = covariance_weight

    def loss(self, views: Views, encoded: Encoded) -> Tensor:
        """Weighted sum of the three terms (VICReg, equation 6), over the global batch."""
        z1, z2 = (gather_rows(z) for z in encoded.projections)
        return (
            self.invariance_weight * invariance(z1, z2)
            + self.variance_weight * (variance(z1) + variance(z2))
            + self.covariance_weight * (covariance(z1) + covariance(z2))
        )

    def compare(self, predicted: Tensor, past: Tensor) -> Tensor:
        """Return the invariance term alone, with its weight."""
        return self.invariance_weight * invariance(predicted, past)
