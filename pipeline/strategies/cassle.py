"""CaSSLe (Fini et al., CVPR 2022): predict the past with the method's own loss."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from pipeline.methods.base import Method
from pipeline.models.frozen import TeacherBatchNorm, frozen_copy
from pipeline.models.heads import mlp
from pipeline.models.loading import load_strictly, require_names
from pipeline.strategies.base import Step, Strategy, TaskStart


class Cassle(Strategy):
    """L_SSL + distill_weight · L_D(g(z), z̄), z̄ from the frozen previous network.

    Args:
        distill_weight: the weight of the distillation; at 0 nothing is built and every
            task is fine-tuning, bit for bit.
        predictor: ``mlp``: g is Linear - BatchNorm - ReLU - Linear; ``none``: g is the
            identity (the paper's ablation).
        predictor_hidden: the width of g's hidden layer; 2048 in the paper.
        carry_predictor: whether g (and a layer after it that the method's L_D trains) starts
            from the previous task's weights, as in the reference code, or from new ones.
        teacher_batchnorm: see ``frozen_copy``; ``batch`` in the reference code.
    """

    def __init__(
        self,
        *,
        distill_weight: float,
        predictor: Literal["mlp", "none"],
        predictor_hidden: int,
        carry_predictor: bool,
        teacher_batchnorm: TeacherBatchNorm,
    ) -> None:
        super().__init__()
        self.distill_weight = distill_weight
        self.predictor_kind = predictor
        self.predictor_hidden = predictor_hidden
        self.carry_predictor = carry_predictor
        self.teacher_batchnorm: TeacherBatchNorm = teacher_batchnorm
        # g, and the layer that the method's L_D trains after it, if it has one.
        self.distiller = nn.ModuleDict({"predictor": nn.Identity(), "head": nn.Identity()})

    def begin_task(self, start: TaskStart) -> None:
        """Freeze the network as the previous task left it; build g, or load the carried g."""
        if self.distill_weight == 0:
            require_names(start.carried, ())
            return
        self.teacher = frozen_copy(
            start.method, self.teacher_batchnorm, without=start.method.loss_only
        )
        if self.predictor_kind == "mlp":
            size = start.method.projection_dim
            self.distiller["predictor"] = mlp([size, self.predictor_hidden, size], batch_norm=True)
        self.distiller["head"] = start.method.distill_head()
        if self.carry_predictor and start.carried:
            load_strictly(self.distiller, start.carried)
        else:
            require_names(start.carried, ())

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return the distillation term."""
        if self.teacher is None:
            return {}
        teacher = cast(Method, self.teacher)
        with torch.no_grad():
            projections = teacher.encode(step.views).projections
            past = tuple(teacher.distill_target(z) for z in projections)
        present = step.encoded.projections
        predicted: Tensor = self.distiller["predictor"](torch.cat(present))
        predicted = self.distiller["head"](predicted)
        distance = step.method.distill(predicted.chunk(len(present)), past)
        return {"distill": self.distill_weight * distance}

    def carried(self) -> dict[str, Tensor]:
        """Return g's weights and statistics, if ``carry_predictor``."""
        return dict(self.distiller.state_dict()) if self.carry_predictor else {}
