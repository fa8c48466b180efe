"""SimCLR (Chen et al., 2020): contrast each image's two views with all others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.methods.base import Encoded, Method, Views
from pipeline.methods.distributed import gather
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
    similarity = z @ z.T / temperature
    similarity = similarity.masked_fill(
        torch.eye(len(z), dtype=torch.bool, device=z.device), float("-inf")
    )
    positive = torch.arange(len(z), device=z.device).roll(len(z1))
    return functional.cross_entropy(similarity, positive)


@in_float32
def info_nce_distillation(predicted: Tensor, past: Tensor, temperature: float) -> Tensor:
    """InfoNCE between predicted and past projections, in both directions.

    ½ [NCE(g(z) → z̄) + NCE(z̄ → g(z))]: each vector must find its own counterpart
    (same image, same view) among all vectors of the other side.

    The paper's appendix also has the other predictions among the negatives; its public
    code has only the other side's vectors, and so has this.

    Args:
        predicted: g(z), ``(M, D)``; for two views of N images, M = 2N.
        past: z̄ in the same order, ``(M, D)``.
        temperature: τ > 0.

    Returns:
        The mean over both directions and all vectors, a scalar.
    """
    similarity = functional.normalize(predicted, dim=1) @ functional.normalize(past, dim=1).T
    logits = similarity / temperature
    same = torch.arange(len(logits), device=logits.device)
    forward = functional.cross_entropy(logits, same)
    backward = functional.cross_entropy(logits.T, same)
    return (forward + backward) / 2


class SimCLR(Method):
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
        z1, z2 = (gather(z) for z in encoded.projections)
        return nt_xent(z1, z2, self.temperature)

    def compare(self, predicted: Tensor, past: Tensor) -> Tensor:
        """InfoNCE between prediction and past, over the global batch."""
        return info_nce_distillation(gather(predicted), gather(past), self.distill_temperature)

    def distill(self, predicted: tuple[Tensor, ...], past: tuple[Tensor, ...]) -> Tensor:
        """InfoNCE over the vectors of all views at once, as in the reference."""
        return self.compare(torch.cat(predicted), torch.cat(past))
