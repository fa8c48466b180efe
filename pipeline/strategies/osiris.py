"""Osiris (Zhang et al., CoLLAs 2024): tell the present task's images from a memory's."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.distributed.collectives import gather_rows, own_rows, world_size
from pipeline.methods.base import Encoded, Position, Views
from pipeline.methods.contrastive import nt_xent
from pipeline.methods.precision import in_float32
from pipeline.models.frozen import TeacherBatchNorm, frozen_copy
from pipeline.strategies.base import Step, TaskStart
from pipeline.strategies.memories.choice import MemoryKind
from pipeline.strategies.memory import MemoryStrategy, memory_batch_size


@in_float32
def cross_nt_xent(z: Tensor, u: Tensor, temperature: float) -> Tensor:
    """L_cross = ½ [ℓ(z; u) + ℓ(u; z)]: each set's negatives are the other set alone.

    ℓ(z; u) is the mean over z of -log( e^{z·z⁺/τ} / [e^{z·z⁺/τ} + Σ_u e^{z·u/τ}] ), all vectors
    scaled to length 1 and z⁺ the other view of z.

    Args:
        z: the first views of one set, then its second views, ``(2N, D)``.
        u: likewise of the other, ``(2M, D)``.
        temperature: τ > 0.
    """
    z, u = functional.normalize(z, dim=1), functional.normalize(u, dim=1)
    apart = z @ u.T / temperature
    losses = []
    for own, negatives in ((z, apart), (u, apart.T)):
        positive = (own * own.roll(len(own) // 2, dims=0)).sum(dim=1, keepdim=True) / temperature
        logits = torch.cat([positive, negatives], dim=1)
        first = torch.zeros(len(own), dtype=torch.long, device=own.device)
        losses.append(functional.cross_entropy(logits, first))
    return (losses[0] + losses[1]) / 2


@in_float32
def distill_nt_xent(z: Tensor, past: Tensor, temperature: float) -> Tensor:
    """L_past of D: InfoNCE between present and past in both directions.

    Each vector has to find its own counterpart (same image, same view) among all vectors of the
    other side but its image's other view.

    Args:
        z: the first views, then the second, ``(2N, D)``.
        past: z̄ in the same order, ``(2N, D)``.
        temperature: τ > 0.
    """
    similarity = functional.normalize(z, dim=1) @ functional.normalize(past, dim=1).T
    same = torch.arange(len(z), device=z.device)
    other_view = same[:, None] == same.roll(len(z) // 2)
    logits = (similarity / temperature).masked_fill(other_view, float("-inf"))
    forward = functional.cross_entropy(logits, same)
    backward = functional.cross_entropy(logits.T, same)
    return (forward + backward) / 2


class Osiris(MemoryStrategy):
    """L_SSL(X) + weight · (L_cross + L_past), X the batch and Y images of a memory.

    Both terms are in the space of a second head h on the features f: L_cross is
    ``cross_nt_xent`` of h(f(X)) and h(f(Y)). L_past is NT-Xent of h(f(Y)) (variant ``r``), or
    ``distill_nt_xent`` of h(f(X)) and h(f̄(X)), f̄ the frozen previous backbone (``d``). h is a copy
    of the projector as it is when the strategy first acts, and crosses task boundaries.

    X and Y pass the network as one batch, as in the public code (SkrighYZ/Osiris): BatchNorm then
    treats both alike. Were each normalised by its own statistics, what tells them apart in training
    would be lost in evaluation, which has one statistic for all.

    Differs from the public code: the memory holds images of earlier tasks alone, there those of
    the present task as well, as they pass; and L_SSL keeps the method's own temperature.

    Args:
        variant: ``r`` (replay) or ``d`` (distillation).
        memory: which images stay.
        memory_size: images in the memory; 0 is finetune.
        batch_share: memory images for each image of the batch; at most the memory's, and a
            multiple of the world size.
        weight: of both terms.
        temperature: τ of both terms.
        teacher_batchnorm: of variant ``d``, see ``frozen_copy``.
    """

    head: nn.Module

    def __init__(
        self,
        *,
        variant: Literal["r", "d"],
        memory: MemoryKind,
        memory_size: int,
        batch_share: float,
        weight: float,
        temperature: float,
        teacher_batchnorm: TeacherBatchNorm,
    ) -> None:
        super().__init__(memory=memory, memory_size=memory_size)
        self.variant = variant
        self.batch_share = batch_share
        self.weight = weight
        self.temperature = temperature
        self.teacher_batchnorm: TeacherBatchNorm = teacher_batchnorm
        self._count = 0
        # The places in the memory of all ranks' images of Y.
        self._places = torch.zeros(0, dtype=torch.long)

    def begin_task(self, start: TaskStart) -> None:
        """Fill the memory from the previous task; copy the projector, or load the carried h."""
        self._count = round(self.batch_share * start.batch_size)
        self.head = copy.deepcopy(start.method.projector)
        super().begin_task(start)
        # Without a memory nothing trains it, and parallel training waits for each gradient.
        self.head.requires_grad_(self._count_replayed() > 0)
        if self.variant == "d":
            self.teacher = frozen_copy(start.method.backbone, self.teacher_batchnorm)

    def takes_in_as_they_come(self, start: TaskStart) -> bool:
        """Return False: it is told where a task ends, and looks back there."""
        return False

    def list_carried(self) -> dict[str, nn.Module]:
        """Return h."""
        return {"head": self.head}

    def count_images(self, batch_size: int, views: int) -> int:
        """Return the images of a step, those from memory in each part of the batch among them."""
        parts = self.count_parts(batch_size)
        return (batch_size + parts * self._count_replayed()) * views

    def mix(self, views: Views, at: Position) -> Views:
        """Return each view of X with a view of Y appended."""
        count = self._count_replayed()
        if count == 0:
            return views
        generator = self._generators("osiris", *at.stream)
        self._places = self.memory.draw_indices(count, generator)
        images = self.memory.images[own_rows(self._places)]
        replayed = self._augment(images, generator)
        return tuple(torch.cat(pair) for pair in zip(views, replayed, strict=True))

    def objective(self, step: Step) -> Tensor:
        """Return L_SSL of X alone."""
        present = Encoded(
            self._of_batch(step.encoded.features), self._of_batch(step.encoded.projections)
        )
        return step.method.loss(self._of_batch(step.views), present)

    def _of_batch(self, joined: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """This rank's rows of X, of each view."""
        replayed = self._count_replayed() // world_size()
        return tuple(each[: len(each) - replayed] for each in joined)

    def _count_replayed(self) -> int:
        """The images of Y beside a batch, or a part of one, over all ranks."""
        return memory_batch_size(self._count, len(self.memory))

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return both terms."""
        if self._count_replayed() == 0:
            return {}
        views = self._of_batch(step.views)
        if self.memory.uses_projections:
            replayed = slice(len(views[0]), None)
            self.memory.refresh(self._places, gather_rows(self._mean_over_views(step, replayed)))
        projected: Tensor = self.head(torch.cat(step.encoded.features))
        each = projected.chunk(len(views))
        present = self._of_batch(each)
        z = torch.cat([gather_rows(own) for own in present])
        u1, u2 = (gather_rows(h[len(x) :]) for h, x in zip(each, present, strict=True))
        cross = cross_nt_xent(z, torch.cat([u1, u2]), self.temperature)
        if self.teacher is None:
            past = nt_xent(u1, u2, self.temperature)
        else:
            with torch.no_grad():
                features: Tensor = self.teacher(torch.cat(views))
            before: Tensor = self.head(features)
            z_past = torch.cat([gather_rows(own) for own in before.chunk(len(views))])
            past = distill_nt_xent(z, z_past, self.temperature)
        return {"osiris_cross": self.weight * cross, "osiris_past": self.weight * past}
