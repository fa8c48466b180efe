"""SwAV (Caron et al., 2020): predict one view's cluster from the other view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.distributed.collectives import gather_rows
from pipeline.methods.base import Encoded, Position, Views
from pipeline.methods.precision import in_float32
from pipeline.methods.prototypes import PrototypeMethod, Prototypes, soft_cross_entropy
from pipeline.methods.queue import HostCount, enqueue
from pipeline.models.backbone import Backbone
from pipeline.models.heads import mlp


@torch.no_grad()
@in_float32
def sinkhorn_knopp(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Soft assignments that use all prototypes equally (SwAV, equation 5).

    In each iteration all prototypes get the same mass, then all vectors. Computed with
    logarithms, so no exponential overflows or vanishes.

    Args:
        scores: ``(N, K)``.
        epsilon: ε > 0, how soft the assignments are.
        iterations: 1 or more.

    Returns:
        Codes ``(N, K)``; each row sums to 1, each column to about N / K.
    """
    logarithm = scores / epsilon
    for _ in range(iterations):
        logarithm = logarithm - logarithm.logsumexp(dim=0, keepdim=True)
        logarithm = logarithm - logarithm.logsumexp(dim=1, keepdim=True)
    return logarithm.exp()


class SwAV(PrototypeMethod):
    """SwAV with a projector with BatchNorm and, optionally, a queue of past projections.

    The prototypes cross task boundaries; the queue starts anew with each task.

    Differs from the reference: the queue fills from ``queue_start_epoch`` on and is used once it
    is full; there it fills from a task's first step on, and is used from that epoch on.

    Args:
        backbone: the network to train.
        temperature: τ of the objective.
        distill_temperature: τ of the distillation; 0.1 in the reference.
        projector: sizes of the projector's hidden layers and output.
        num_prototypes: K.
        train_prototype_lengths: see ``Prototypes``; those of the distillation too.
        epsilon: ε of Sinkhorn-Knopp.
        sinkhorn_iterations: its iterations.
        queue_size: past projections of each view that join the assignment; 0: no queue.
        queue_start_epoch: the epoch of a task, from 0, in which the queue begins to fill; it
            is used once it is full.
        freeze_prototypes_epochs: epochs at the beginning of each task in which the
            prototypes stay as they are.
    """

    loss_only: ClassVar[tuple[str, ...]] = ("queue", "queued")

    def __init__(
        self,
        backbone: Backbone,
        *,
        temperature: float,
        distill_temperature: float,
        projector: Sequence[int],
        num_prototypes: int,
        train_prototype_lengths: bool,
        epsilon: float,
        sinkhorn_iterations: int,
        queue_size: int,
        queue_start_epoch: int,
        freeze_prototypes_epochs: int,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projector = mlp([backbone.num_features, *projector], batch_norm=True)
        self.projection_dim = projector[-1]
        self.prototypes = Prototypes(projector[-1], num_prototypes, train_prototype_lengths)
        self.temperature = temperature
        self.distill_temperature = distill_temperature
        self.epsilon = epsilon
        self.sinkhorn_iterations = sinkhorn_iterations
        self.queue_start_epoch = queue_start_epoch
        self.freeze_prototypes_epochs = freeze_prototypes_epochs
        self.queue: Tensor
        # Not persistent: a task must not start from the queue of the task before.
        self.register_buffer("queue", torch.zeros(2, queue_size, projector[-1]), persistent=False)
        self.queued: Tensor
        self.register_buffer("queued", torch.zeros((), dtype=torch.long), persistent=False)
        self._count = HostCount()
        self._latest: list[Tensor] = []

    def loss(self, views: Views, encoded: Encoded) -> Tensor:
        """Swapped prediction over the global batch; the mean of both directions."""
        z = torch.stack([gather_rows(projections) for projections in encoded.projections])
        self._latest.append(z.detach())
        scores1, scores2 = self.prototypes(z[0]), self.prototypes(z[1])
        code1, code2 = self._codes(scores1, 0), self._codes(scores2, 1)
        first = soft_cross_entropy(scores1, code2, self.temperature)
        second = soft_cross_entropy(scores2, code1, self.temperature)
        return (first + second) / 2

    @torch.no_grad()
    def _codes(self, scores: Tensor, view: int) -> Tensor:
        """Assign a batch, together with the queue if that is full."""
        count, size = len(scores), self.queue.shape[1]
        if 0 < size <= self._count.read(self.queued):
            scores = torch.cat([scores, self.prototypes(self.queue[view])])
        return sinkhorn_knopp(scores, self.epsilon, self.sinkhorn_iterations)[:count]

    def after_step(self, at: Position) -> None:
        """Put this step's projections into the queue."""
        size = self.queue.shape[1]
        epoch = replace(at, step=at.step - 1).epoch  # of the step just done
        if size > 0 and epoch >= self.queue_start_epoch:
            for latest in self._latest:
                queued = self._count.read(self.queued)
                enqueue(self.queue, queued % size, latest)
                self._count.write(self.queued, queued + latest.shape[1])
        self._latest = []
