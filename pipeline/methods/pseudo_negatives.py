"""The losses of PNR (Cha et al., ICML 2024) for each method that it is defined for.

The present network and the past one repel each other: what one makes of an image, or of its other
view, is a negative of the other, a pseudo-negative. How depends on the method's own loss.
Throughout, z is a present projection, z̄ the frozen network's of the same view, and p = q(z) the
past as predicted from the present. v' is the other view of v.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.distributed.collectives import gather_rows
from pipeline.methods.barlow_twins import BarlowTwins
from pipeline.methods.base import Encoded, Method, Views
from pipeline.methods.byol import BYOL, byol_loss
from pipeline.methods.contrastive import ContrastiveDistillation
from pipeline.methods.mocov2plus import MoCoV2Plus, info_nce_with_queue, unit_vectors
from pipeline.methods.precision import in_float32
from pipeline.methods.queue import HostCount, enqueue
from pipeline.methods.simclr import SimCLR
from pipeline.methods.vicreg import VICReg, invariance

Projections = tuple[Tensor, ...]  # of each view, (N, D)
NOT_THERE = float("-inf")  # the logit of what is not in a sum


@dataclass(frozen=True)
class Weights:
    """The weights of PNR's terms.

    Attributes:
        positive: λ, of what draws p to z̄.
        negative: λ⁻, of what pushes p away from z̄ of the other view; None: the paper's.
    """

    positive: float
    negative: float | None


class PseudoNegatives(nn.Module, ABC):
    """What PNR makes of a method's objective; buffers cross task boundaries.

    Args:
        method: whose objective it is.
        weights: of the terms.
    """

    def __init__(self, method: Method, weights: Weights) -> None:
        super().__init__()
        self.weights = weights

    def contrast(self, method: Method, views: Views, encoded: Encoded, past: Projections) -> Tensor:
        """Return L_SSL, or what stands in its place.

        Args:
            method: the network in training.
            views: the views of the batch, each ``(N, C, H, W)``.
            encoded: its features and projections of them.
            past: z̄ of each view.
        """
        return method.loss(views, encoded)

    @abstractmethod
    def regularize(
        self, method: Method, present: Projections, predicted: Projections, past: Projections
    ) -> Tensor:
        """Return what is added.

        Args:
            method: the network in training.
            present: z of each view.
            predicted: p of each view.
            past: z̄ of each view.
        """

    def after_step(self) -> None:
        """Take in what the step has made for later ones."""


@in_float32
def nt_xent_with_past(z: Tensor, past: Tensor, temperature: float) -> Tensor:
    """NT-Xent whose negatives are the past projections too.

    Mean over i of -log( e^{z_i·z_i⁺/τ} / [Σ_{j≠i} e^{z_i·z_j/τ} + Σ_{j≠i} e^{z_i·z̄_j/τ}] ), all
    vectors scaled to length 1 and i⁺ the other view of i.

    Args:
        z: those of the first views, then those of the second, ``(2N, D)``.
        past: z̄ in the same order, ``(2N, D)``.
        temperature: τ > 0.
    """
    z, past = functional.normalize(z, dim=1), functional.normalize(past, dim=1)
    present = (z @ z.T / temperature).fill_diagonal_(NOT_THERE)
    before = (z @ past.T / temperature).fill_diagonal_(NOT_THERE)
    positive = torch.arange(len(z), device=z.device).roll(len(z) // 2)
    return functional.cross_entropy(torch.cat([present, before], dim=1), positive)


@in_float32
def prediction_among_present(
    predicted: Tensor, past: Tensor, z: Tensor, temperature: float
) -> Tensor:
    """InfoNCE between prediction and past whose negatives are the present projections too.

    Mean over i of -log( e^{p_i·z̄_i/τ} / [Σ_{j≠i} e^{p_i·z̄_j/τ} + Σ_{j≠i} e^{p_i·z_j/τ}] ), all
    vectors scaled to length 1. As in the public code, the positive is not in the denominator, and
    gradients flow through the z_j.

    Args:
        predicted: p of the first views, then of the second, ``(2N, D)``.
        past: z̄ in the same order, ``(2N, D)``.
        z: likewise.
        temperature: τ > 0.
    """
    p, past, z = (functional.normalize(each, dim=1) for each in (predicted, past, z))
    positive = (p * past).sum(dim=1) / temperature
    to_past = (p @ past.T / temperature).fill_diagonal_(NOT_THERE)
    to_present = (p @ z.T / temperature).fill_diagonal_(NOT_THERE)
    return (torch.cat([to_past, to_present], dim=1).logsumexp(dim=1) - positive).mean()


class InBatch(PseudoNegatives):
    """SimCLR: the batch's past projections are negatives of the present ones, and reversed."""

    def contrast(self, method: Method, views: Views, encoded: Encoded, past: Projections) -> Tensor:
        """Return ``nt_xent_with_past`` of the global batch, in place of NT-Xent."""
        temperature = cast(SimCLR, method).temperature
        return nt_xent_with_past(_gather(encoded.projections), _gather(past), temperature)

    def regularize(
        self, method: Method, present: Projections, predicted: Projections, past: Projections
    ) -> Tensor:
        """Return ``prediction_among_present`` of the global batch."""
        temperature = cast(ContrastiveDistillation, method).distill_temperature
        loss = prediction_among_present(
            _gather(predicted), _gather(past), _gather(present), temperature
        )
        return self.weights.positive * loss


def _gather(projections: Projections) -> Tensor:
    """The rows of all ranks, view by view: ``(2N, D)``."""
    return torch.cat([gather_rows(z) for z in projections])


class Queued(PseudoNegatives):
    """MoCo v2+: a second queue, of the frozen network's keys, joined to its own in both terms.

    It is as long as the first, begins with random directions and is full after as many steps.

    Attributes:
        queue: the past keys of each view, ``(2, Q, D)``, unit vectors.
        queue_pointer: the index of the oldest.
    """

    queue: Tensor
    queue_pointer: Tensor

    def __init__(self, method: Method, weights: Weights) -> None:
        super().__init__(method, weights)
        noise = torch.randn(cast(MoCoV2Plus, method).queue.shape)
        self.register_buffer("queue", functional.normalize(noise, dim=2))
        self.register_buffer("queue_pointer", torch.zeros((), dtype=torch.long))
        self._pointer = HostCount()
        self._keys: list[Tensor] = []

    def contrast(self, method: Method, views: Views, encoded: Encoded, past: Projections) -> Tensor:
        """Return InfoNCE of queries and keys with both queues, in place of that with one."""
        moco = cast(MoCoV2Plus, method)
        self._keys.append(torch.stack([gather_rows(z) for z in past]))
        return moco.contrast(views, encoded, self._join(moco))

    def regularize(
        self, method: Method, present: Projections, predicted: Projections, past: Projections
    ) -> Tensor:
        """Return InfoNCE of predictions and their past, with both queues of the other view."""
        moco = cast(MoCoV2Plus, method)
        negatives = self._join(moco)
        losses = [
            info_nce_with_queue(unit_vectors(p), z, queue, moco.distill_temperature)
            for p, z, queue in zip(predicted, past, negatives.flip(0), strict=True)
        ]
        return self.weights.positive * torch.stack(losses).mean()

    def _join(self, method: MoCoV2Plus) -> Tensor:
        """Both queues of each view, ``(2, 2Q, D)``."""
        return torch.cat([method.queue, self.queue], dim=1)

    def after_step(self) -> None:
        """Enqueue the frozen network's projections of this step."""
        for keys in self._keys:
            pointer = enqueue(self.queue, self._pointer.read(self.queue_pointer), keys)
            self._pointer.write(self.queue_pointer, pointer)
        self._keys = []


@in_float32
def negative_cosine(predicted: Tensor, past: Tensor) -> Tensor:
    """Mean over the vectors of -cos(p, z̄), both ``(N, D)``."""
    return -functional.cosine_similarity(predicted, past, dim=1).mean()


Distance = Callable[[Tensor, Tensor], Tensor]
# D⁻ of the methods without negatives, and λ⁻ of their recipes for new classes of CIFAR-100.
REPELLED: dict[type[Method], tuple[Distance, float]] = {
    BYOL: (byol_loss, 0.5),
    BarlowTwins: (negative_cosine, 1.0),
    VICReg: (invariance, 23.0),
}


class AcrossViews(PseudoNegatives):
    """BYOL, Barlow Twins, VICReg: λ ½ Σ_v D(p_v, z̄_v) - λ⁻ ½ Σ_v D⁻(p_v, z̄_v').

    D is the method's own L_D; VICReg's has the weight of its invariance term in it. The prediction
    is drawn to the past of its own view and pushed away from that of the other.
    """

    def regularize(
        self, method: Method, present: Projections, predicted: Projections, past: Projections
    ) -> Tensor:
        """Return both terms."""
        distance, weight = REPELLED[type(method)]
        weight = weight if self.weights.negative is None else self.weights.negative
        apart = [distance(p, z) for p, z in zip(predicted, past[::-1], strict=True)]
        drawn = self.weights.positive * method.distill(predicted, past)
        return drawn - weight * torch.stack(apart).mean()


DEFINED: dict[type[Method], type[PseudoNegatives]] = {
    SimCLR: InBatch,
    MoCoV2Plus: Queued,
    **dict.fromkeys(REPELLED, AcrossViews),
}


def build_pseudo_negatives(method: Method, weights: Weights) -> PseudoNegatives:
    """Return PNR's losses for a method, which has to be one of those that it is defined for."""
    return DEFINED[type(method)](method, weights)
