"""MoCo v2+ (He et al., 2020; Chen et al., 2020): queries against keys and a queue of keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.distributed.collectives import gather_rows
from pipeline.methods.base import Encoded, Position, Views
from pipeline.methods.contrastive import ContrastiveDistillation
from pipeline.methods.momentum import MomentumMethod
from pipeline.methods.precision import in_float32
from pipeline.methods.queue import HostCount, enqueue
from pipeline.models.backbone import Backbone
from pipeline.models.heads import mlp


@in_float32
def unit_vectors(z: Tensor) -> Tensor:
    """Return the rows of ``z`` ``(N, D)``, scaled to length 1."""
    return functional.normalize(z, dim=1)


@in_float32
def info_nce_with_queue(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """InfoNCE of queries against their keys and a queue of negatives (MoCo, equation 1).

    Args:
        query: ``(N, D)``, unit vectors.
        key: each query's positive, ``(N, D)``, unit vectors without gradient.
        queue: the negatives, ``(Q, D)``, unit vectors without gradient.
        temperature: τ > 0.

    Returns:
        The mean over the queries, a scalar.
    """
    positive = (query * key).sum(dim=1, keepdim=True)
    logits = torch.cat([positive, query @ queue.T], dim=1) / temperature
    return functional.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))


class MoCoV2Plus(ContrastiveDistillation, MomentumMethod):
    """MoCo v2+ with an MLP projector without BatchNorm, symmetric in the views.

    The queue and its pointer cross task boundaries. One queue a view, as in the reference:
    the query of a view meets past keys of the other view.

    As in the reference, and unlike in MoCo's own code, the keys' images are not shuffled between
    processes.

    Args:
        backbone: the network to train.
        temperature: τ of the objective.
        distill_temperature: τ of the distillation; 0.2 in the reference.
        projector: sizes of the projector's hidden layers and output.
        queue_size: keys kept for each view.
        momentum: the momentum coefficient when a task begins.
        final_momentum: the coefficient when it ends.
    """

    loss_only: ClassVar[tuple[str, ...]] = (*MomentumMethod.loss_only, "queue", "queue_pointer")

    queue: Tensor
    queue_pointer: Tensor

    def __init__(
        self,
        backbone: Backbone,
        *,
        temperature: float,
        distill_temperature: float,
        projector: Sequence[int],
        queue_size: int,
        momentum: float,
        final_momentum: float,
    ) -> None:
        head = mlp([backbone.num_features, *projector], batch_norm=False)
        super().__init__(backbone, head, projector[-1], momentum, final_momentum)
        self.temperature = temperature
        self.distill_temperature = distill_temperature
        noise = torch.randn(2, queue_size, projector[-1])
        self.register_buffer("queue", functional.normalize(noise, dim=2))
        self.register_buffer("queue_pointer", torch.zeros((), dtype=torch.long))
        self._pointer = HostCount()
        self._keys: list[Tensor] = []

    def encode(self, views: Views) -> Encoded:
        """Encode all views; projections are unit vectors, also for the distillation."""
        encoded = super().encode(views)
        return Encoded(encoded.features, tuple(map(unit_vectors, encoded.projections)))

    def loss(self, views: Views, encoded: Encoded) -> Tensor:
        """InfoNCE of each view's queries against the other view's keys."""
        return self.contrast(views, encoded, self.queue)

    def contrast(self, views: Views, encoded: Encoded, queue: Tensor) -> Tensor:
        """Return ``loss`` with other negatives; its keys are enqueued after the step all the same.

        Args:
            views: the views of the batch, each ``(N, C, H, W)``.
            encoded: this network's features and projections of them.
            queue: the negatives of each view, ``(2, Q, D)``, unit vectors without gradient.
        """
        q1, q2 = encoded.projections
        k1, k2 = map(unit_vectors, self.momentum_projections(views))
        self._keys.append(torch.stack([gather_rows(k1), gather_rows(k2)]))
        queue1, queue2 = queue
        first = info_nce_with_queue(q1, k2, queue2, self.temperature)
        second = info_nce_with_queue(q2, k1, queue1, self.temperature)
        return (first + second) / 2

    def after_step(self, at: Position) -> None:
        """Update the momentum network, and enqueue this step's keys."""
        super().after_step(at)
        for keys in self._keys:
            pointer = enqueue(self.queue, self._pointer.read(self.queue_pointer), keys)
            self._pointer.write(self.queue_pointer, pointer)
        self._keys = []
