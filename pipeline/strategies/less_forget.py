"""Less-Forget (Hou et al., 2019): keep the features' directions as they were."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.methods.precision import in_float32
from pipeline.models.frozen import TeacherBatchNorm, frozen_copy
from pipeline.strategies.base import Step, Strategy, TaskStart


@in_float32
def cosine_distance(features: Tensor, past: Tensor) -> Tensor:
    """Mean over the vectors of 1 - cos(h, h̄), both ``(N, F)`` (Hou et al., equation 6)."""
    return 1 - functional.cosine_similarity(features, past, dim=1).mean()


class LessForget(Strategy):
    """L_SSL + weight · (1 - cos(h, h̄)) on backbone features, without a predictor.

    The weight is the same for all tasks; in the paper it grows with the share of old classes,
    which are not known here.

    Args:
        weight: the weight of the term.
        teacher_batchnorm: see ``frozen_copy``.
    """

    def __init__(self, *, weight: float, teacher_batchnorm: TeacherBatchNorm) -> None:
        super().__init__()
        self.weight = weight
        self.teacher_batchnorm: TeacherBatchNorm = teacher_batchnorm

    def begin_task(self, start: TaskStart) -> None:
        """Freeze the backbone as the previous task left it."""
        super().begin_task(start)
        self.teacher = frozen_copy(start.method.backbone, self.teacher_batchnorm)

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return the distance between present and past features of all views."""
        assert self.teacher is not None, "the task has not begun"
        with torch.no_grad():
            past: Tensor = self.teacher(torch.cat(step.views))
        return {
            "less_forget": self.weight * cosine_distance(torch.cat(step.encoded.features), past)
        }
