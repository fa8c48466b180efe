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


class Method(nn.Module, ABC):
    """A self-supervised objective and the network it trains.

    A subclass makes its modules in ``__init__`` (everything that must cross a task
    boundary has to be a parameter or a buffer), sets ``projection_dim``, and gives
    ``loss``. Distillation then works: by default L_D of the objective is the mean over the
    views of ``compare(predicted, past)``.
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
            predicted: g(z), the past as predicted from the present, ``(N, D)``.
            past: z̄ of the same images and views, ``(N, D)``, without gradient.
        """

    def distill(self, predicted: tuple[Tensor, ...], past: tuple[Tensor, ...]) -> Tensor:
        """Return L_D over all views: the mean of ``compare`` (CaSSLe, section 4).

        Args:
            predicted: g(z) of each view, each ``(N, D)``.
            past: z̄ of each view, each ``(N, D)``.
        """
        terms = [self.compare(p, z) for p, z in zip(predicted, past, strict=True)]
        return torch.stack(terms).mean()

    def after_step(self, progress: float) -> None:
        """Update what is not trained by gradient (momentum networks, queues).

        Args:
            progress: the share of the task's steps that are done, in (0, 1].
        """
