"""PFR (Gomez-Villa et al., 2022): projected functional regularisation of the features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.methods.precision import in_float32
from pipeline.models.frozen import TeacherBatchNorm, frozen_copy
from pipeline.models.heads import mlp
from pipeline.strategies.base import Step, Strategy, TaskStart


@in_float32
def mean_cosine(projected: Tensor, past: Tensor) -> Tensor:
    """Mean over the vectors of cos(m(h), h̄), both ``(N, F)``."""
    return functional.cosine_similarity(projected, past, dim=1).mean()


class PFR(Strategy):
    """L_SSL - weight · cos(m(h), h̄), m a new MLP each task, on backbone features.

    Args:
        weight: λ.
        predictor_hidden: the width of m's hidden layer; half of the features in the paper.
        teacher_batchnorm: see ``frozen_copy``.
    """

    def __init__(
        self, *, weight: float, predictor_hidden: int, teacher_batchnorm: TeacherBatchNorm
    ) -> None:
        super().__init__()
        self.weight = weight
        self.predictor_hidden = predictor_hidden
        self.teacher_batchnorm: TeacherBatchNorm = teacher_batchnorm
        self.predictor: nn.Module | None = None

    def begin_task(self, start: TaskStart) -> None:
        """Freeze the backbone as the previous task left it, and build m."""
        super().begin_task(start)
        backbone = start.method.backbone
        self.teacher = frozen_copy(backbone, self.teacher_batchnorm)
        size = backbone.num_features
        self.predictor = mlp([size, self.predictor_hidden, size], batch_norm=True)

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return the negative cosine similarity of projected present and past features."""
        assert self.teacher is not None, "the task has not begun"
        assert self.predictor is not None, "the task has not begun"
        with torch.no_grad():
            past: Tensor = self.teacher(torch.cat(step.views))
        projected: Tensor = self.predictor(torch.cat(step.encoded.features))
        return {"pfr": -self.weight * mean_cosine(projected, past)}
