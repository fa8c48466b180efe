"""The losses that contrastive methods and strategies share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.distributed.collectives import gather_rows
from pipeline.methods.base import Method
from pipeline.methods.precision import in_float32


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


class ContrastiveDistillation(Method):
    """A method that distils by InfoNCE; it sets ``distill_temperature``, τ of the distillation."""

    distill_temperature: float

    def compare(self, predicted: Tensor, past: Tensor) -> Tensor:
        """InfoNCE between prediction and past, over the global batch."""
        return info_nce_distillation(
            gather_rows(predicted), gather_rows(past), self.distill_temperature
        )

    def distill(self, predicted: tuple[Tensor, ...], past: tuple[Tensor, ...]) -> Tensor:
        """InfoNCE over the vectors of all views at once, as in the reference."""
        return self.compare(torch.cat(predicted), torch.cat(past))
