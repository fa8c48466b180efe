"""SimSiam (Chen and He, 2021): BYOL without a momentum network, saved by a stopped gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.methods.base import Encoded, Method, Views
from pipeline.methods.precision import in_float32
from pipeline.models.backbone import Backbone
from pipeline.models.heads import mlp


@in_float32
def negative_cosine(predicted: Tensor, target: Tensor) -> Tensor:
    """Negative cosine similarity -cos(p, stopgrad(z)) (SimSiam, equation 1).

    Args:
        predicted: p, ``(N, D)``.
        target: z, ``(N, D)``; no gradient flows into it.

    Returns:
        The mean over the vectors, a scalar from -1 to 1.
    """
    return -functional.cosine_similarity(predicted, target.detach(), dim=1).mean()


class SimSiam(Method):
    """SimSiam: a projector that ends in BatchNorm, and a predictor with a bottleneck.

    Args:
        backbone: the network to train.
        projector: sizes of the projector's hidden layers and output.
        predictor_hidden: the width of the predictor's bottleneck.
        constant_predictor_rate: whether the predictor's learning rate is the peak at every step,
            without warm-up or cosine: it has to keep up with the projections (section 4.2 and
            appendix).
    """

    loss_only: ClassVar[tuple[str, ...]] = ("predictor",)

    def __init__(
        self,
        backbone: Backbone,
        *,
        projector: Sequence[int],
        predictor_hidden: int,
        constant_predictor_rate: bool,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection_dim = projector[-1]
        self.projector = nn.Sequential(
            mlp([backbone.num_features, *projector], batch_norm=True),
            nn.BatchNorm1d(self.projection_dim, affine=False),
        )
        self.predictor = mlp(
            [self.projection_dim, predictor_hidden, self.projection_dim], batch_norm=True
        )
        self.constant_predictor_rate = constant_predictor_rate

    def loss(self, views: Views, encoded: Encoded) -> Tensor:
        """Predict each view's projection from the other view; the mean of both directions."""
        z1, z2 = encoded.projections
        p1, p2 = self.predictor(torch.cat([z1, z2])).chunk(2)
        return (negative_cosine(p1, z2) + negative_cosine(p2, z1)) / 2

    def parameters_at_constant_rate(self) -> list[nn.Parameter]:
        """Return the predictor's, if ``constant_predictor_rate``."""
        return list(self.predictor.parameters()) if self.constant_predictor_rate else []

    def compare(self, predicted: Tensor, past: Tensor) -> Tensor:
        """Negative cosine similarity of prediction and past."""
        return negative_cosine(predicted, past)
