"""BYOL (Grill et al., 2020): predict the momentum network's view of the same image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.methods.base import Encoded, Views
from pipeline.methods.momentum import MomentumMethod
from pipeline.methods.precision import in_float32
from pipeline.models.backbone import Backbone
from pipeline.models.heads import mlp


@in_float32
def byol_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Squared distance of unit vectors, 2 - 2 cos(p, z) (BYOL, equation 2).

    Args:
        predicted: p, ``(N, D)``.
        target: z, ``(N, D)``, without gradient.

    Returns:
        The mean over the vectors, a scalar from 0 (same direction) to 4 (opposite).
    """
    return 2 - 2 * functional.cosine_similarity(predicted, target, dim=1).mean()


class BYOL(MomentumMethod):
    """BYOL: projector and predictor with BatchNorm, a momentum network for the targets.

    Args:
        backbone: the network to train.
        projector: sizes of the projector's hidden layers and output.
        predictor_hidden: the width of the hidden layer of BYOL's own predictor q.
        momentum: the momentum coefficient when a task begins.
        final_momentum: the coefficient when it ends.
    """

    loss_only: ClassVar[tuple[str, ...]] = (*MomentumMethod.loss_only, "predictor")

    def __init__(
        self,
        backbone: Backbone,
        *,
        projector: Sequence[int],
        predictor_hidden: int,
        momentum: float,
        final_momentum: float,
    ) -> None:
        head = mlp([backbone.num_features, *projector], batch_norm=True)
        super().__init__(backbone, head, projector[-1], momentum, final_momentum)
        self.predictor = mlp([projector[-1], predictor_hidden, projector[-1]], batch_norm=True)

    def loss(self, views: Views, encoded: Encoded) -> Tensor:
        """Predict each view's target from the other view; the sum of both directions."""
        p1, p2 = self.predictor(torch.cat(encoded.projections)).chunk(2)
        target1, target2 = self.momentum_projections(views)
        return byol_loss(p1, target2) + byol_loss(p2, target1)

    def compare(self, predicted: Tensor, past: Tensor) -> Tensor:
        """Squared distance between the directions of prediction and past."""
        return byol_loss(predicted, past)
