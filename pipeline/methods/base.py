"""The Method contract: a self-supervised loss, and its use for distillation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.models.backbone import Backbone

Views = tuple[Tensor, ...]


@dataclass(frozen=True)
class Encoded:
    """A network's outputs for each view of a batch.

    Attributes:
        features: the backbone's output, ``(N, F)`` a view.
        projections: the projector's output z, ``(N, D)`` a view.
    """

    features: tuple[Tensor, ...]
    projections: tuple[Tensor, ...]


@dataclass(frozen=True)
class Position:
    """The position of training within a task, or within a phase of one that has several.

    Attributes:
        step: completed steps of the task.
        steps_per_epoch: steps of an epoch.
        total_steps: steps of the phase; most tasks have one.
        part: the number of this part of the step's batch, from 0.
        parts: the number of parts into which the step's batch is divided (accumulated
            gradients).
        phase: the number of the phase, from 0.
        phase_start: steps of the phases before.
        minibatches: minibatches of the task, if each comes once (an online stream); 0: epochs.
    """

    step: int
    steps_per_epoch: int
    total_steps: int
    part: int = 0
    parts: int = 1
    phase: int = 0
    phase_start: int = 0
    minibatches: int = 0

    @property
    def stream(self) -> tuple[int, ...]:
        """Key of this step's (and part's) random stream."""
        return (self.step,) if self.parts == 1 else (self.step, self.part)

    @property
    def progress(self) -> float:
        """The completed share of the phase's steps, in [0, 1].

        0 in an online stream, whose end is not known: schedules stay where they begin.
        """
        return 0.0 if self.minibatches else (self.step - self.phase_start) / self.total_steps

    @property
    def epoch(self) -> int:
        """The epoch of the next step, from 0, counted from the phase's start; 0 if online."""
        return 0 if self.minibatches else (self.step - self.phase_start) // self.steps_per_epoch

    @property
    def minibatch_ends(self) -> bool:
        """Whether the last completed step was the last one on its minibatch."""
        steps = (self.step - 1, self.step)
        before, after = (step * self.minibatches // self.total_steps for step in steps)
        return after > before


class Method(nn.Module, ABC):
    """A self-supervised objective and the network it trains.

    A subclass builds its modules in ``__init__`` around a backbone that already has its
    weights, sets ``projection_dim``, and implements ``loss`` and ``compare``. All parameters
    and persistent buffers are saved with the state and go on in the next task. A buffer that
    has to start anew with each task is not persistent. Distillation follows: by default L_D is
    the mean over the views of ``compare(predicted, past)``.

    With several processes, a loss uses the global batch (for negatives, correlations,
    assignments): see ``pipeline.distributed.collectives.gather_rows``.
    """

    # Names of submodules and buffers that L_SSL alone uses; the frozen network has none of them.
    loss_only: ClassVar[tuple[str, ...]] = ()

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
            encoded: this network's features and projections of them.
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
        """Return a new layer after g, trained by L_D; the identity for most methods."""
        return nn.Identity()

    def distill_target(self, projections: Tensor) -> Tensor:
        """Return the target of L_D for z̄ ``(N, D)``: z̄ itself for most methods."""
        return projections

    def distill(self, predicted: tuple[Tensor, ...], past: tuple[Tensor, ...]) -> Tensor:
        """Return L_D over all views: the mean of ``compare`` (CaSSLe, section 4).

        Args:
            predicted: g(z) of each view, each ``(N, D)``.
            past: z̄ of each view, each ``(N, D)``.
        """
        terms = [self.compare(p, z) for p, z in zip(predicted, past, strict=True)]
        return torch.stack(terms).mean()

    def parameters_at_constant_rate(self) -> list[nn.Parameter]:
        """Return those that train at the peak of the learning rate always; most methods: none."""
        return []

    def after_backward(self, at: Position) -> None:
        """Change gradients before the optimiser's step.

        Args:
            at: the position in the task; this step is not counted yet.
        """

    def after_step(self, at: Position) -> None:
        """Update state that gradients do not train (momentum networks, queues).

        Called once a step, after ``loss`` was called for each part of its batch.

        Args:
            at: the position in the task; this step is counted.
        """
