"""The Method contract: how projections are made and compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.models.backbone import Backbone

Views = tuple[Tensor, ...]


@dataclass(frozen=True)
class Encoded:
    """What a network says of each view of a batch.

    Attributes:
        features: the backbone's output, ``(N, F)`` a view.
        projections: the projector's output z, ``(N, D)`` a view.
    """

    features: tuple[Tensor, ...]
    projections: tuple[Tensor, ...]


@dataclass(frozen=True)
class Position:
    """Where in a task training is.

    Attributes:
        step: steps of the task that are done.
        steps_per_epoch: steps of an epoch.
        total_steps: steps of the task.
        part: which part of the step's batch this is, from 0.
        parts: in how many parts, one after another, the step's batch passes.
    """

    step: int
    steps_per_epoch: int
    total_steps: int
    part: int = 0
    parts: int = 1

    @property
    def stream(self) -> tuple[int, ...]:
        """What numbers the random stream of this part of this step."""
        return (self.step,) if self.parts == 1 else (self.step, self.part)

    @property
    def progress(self) -> float:
        """The share of the task's steps that are done, in [0, 1]."""
        return self.step / self.total_steps

    @property
    def epoch(self) -> int:
        """The epoch of the next step, from 0."""
        return self.step // self.steps_per_epoch


class Method(nn.Module, ABC):
    """A self-supervised objective and the network it trains.

    A subclass makes its modules in ``__init__`` around a backbone that already has its
    weights, sets ``projection_dim``, and gives ``loss`` and ``compare``. All parameters and
    persistent buffers cross task boundaries; what has to start anew with each task is a
    buffer that is not persistent. Distillation then works: by default L_D is the mean over
    the views of ``compare(predicted, past)``.

    With several processes, what a loss takes over the batch (negatives, correlations,
    assignments) it takes over the batches of all of them: see
    ``pipeline.distributed.collectives.gather_rows``.
    """

    backbone: Backbone
    projector: nn.Module
    projection_dim: int

    def encode(self, views: Views) -> Encoded:
        """Encode all views as one batch; BatchNorm sees them together.

        Differs from the reference: there each view passes alone. One pass is faster,
        and both views are drawn from the same family of augmentations.
        """
        features: Tensor = self.backbone(torch.cat(views))
        projections: Tensor = self.projector(features)
        return Encoded(features.chunk(len(views)), projections.chunk(len(views)))

    @abstractmethod
    def loss(self, views: Views, encoded: Encoded) -> Tensor:
        """Return L_SSL, a scalar.

        Args:
            views: the views of the batch, each ``(N, C, H, W)``.
            encoded: what this network made of them.
        """

    @abstractmethod
    def compare(self, predicted: Tensor, past: Tensor) -> Tensor:
        """Return L_D for one set of pairs, a scalar.

        Args:
            predicted: g(z), the past as predicted from the present, through
                ``distill_head``: ``(N, D)``.
            past: z̄ of the same images and views through the frozen network's
                ``distill_target``, ``(N, D)``, without gradient.
        """

    def distill_head(self) -> nn.Module:
        """Return a new layer after g that L_D trains; the identity for most methods."""
        return nn.Identity()

    def distill_target(self, projections: Tensor) -> Tensor:
        """Return what L_D compares with of z̄ ``(N, D)``: z̄ itself for most methods."""
        return projections

    def distill(self, predicted: tuple[Tensor, ...], past: tuple[Tensor, ...]) -> Tensor:
        """Return L_D over all views: the mean of ``compare`` (CaSSLe, section 4).

        Args:
            predicted: g(z) of each view, each ``(N, D)``.
            past: z̄ of each view, each ``(N, D)``.
        """
        terms = [self.compare(p, z) for p, z in zip(predicted, past, strict=True)]
        return torch.stack(terms).mean()

    def after_backward(self, at: Position) -> None:
        """Change gradients before the optimiser's step.

        Args:
            at: where training is; this step is not counted yet.
        """

    def after_step(self, at: Position) -> None:
        """Update what is not trained by gradient (momentum networks, queues).

        Called once a step; ``loss`` was called for each part of its batch.

        Args:
            at: where training is; this step is counted.
        """
