"""The base of methods with a momentum network."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.methods.base import Method, Position, Views
from pipeline.models.backbone import Backbone
from pipeline.models.momentum import cosine_momentum, momentum_copy, update_momentum


class MomentumMethod(Method):
    """A method whose targets come from a slow copy of its backbone and projector.

    A subclass with more that L_SSL alone uses adds its names to ``loss_only``, and one with another
    copy lists that in ``list_copies``.

    Args:
        backbone: the network to train.
        projector: its projector.
        projection_dim: the size of the projector's output.
        momentum: the momentum coefficient when a task begins.
        final_momentum: the coefficient when it ends; a cosine between them.
    """

    loss_only: ClassVar[tuple[str, ...]] = ("momentum_backbone", "momentum_projector")

    def __init__(
        self,
        backbone: Backbone,
        projector: nn.Module,
        projection_dim: int,
        momentum: float,
        final_momentum: float,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projector = projector
        self.projection_dim = projection_dim
        self.momentum_backbone = momentum_copy(backbone)
        self.momentum_projector = momentum_copy(projector)
        self.momentum = momentum
        self.final_momentum = final_momentum

    @torch.no_grad()
    def momentum_projections(self, views: Views) -> tuple[Tensor, ...]:
        """Return the momentum network's projections of each view, ``(N, D)``, no gradient."""
        projections: Tensor = self.momentum_projector(self.momentum_backbone(torch.cat(views)))
        return projections.chunk(len(views))

    def list_copies(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return each module that is a moving average, and the one in training that it follows."""
        return [
            (self.momentum_backbone, self.backbone),
            (self.momentum_projector, self.projector),
        ]

    def after_step(self, at: Position) -> None:
        """Update the momentum network.

        Differs from the reference: the coefficient counts this step as done, so that it ends
        at ``final_momentum``; there it lags by one step.
        """
        momentum = cosine_momentum(self.momentum, self.final_momentum, at.progress)
        for slow, fast in self.list_copies():
            update_momentum(slow, fast, momentum)
