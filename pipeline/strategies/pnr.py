"""PNR (Cha et al., ICML 2024): regularisation with pseudo-negatives."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from pipeline.methods.base import Method, Position
from pipeline.methods.pseudo_negatives import PseudoNegatives, Weights, build_pseudo_negatives
from pipeline.models.frozen import TeacherBatchNorm, frozen_copy
from pipeline.models.heads import mlp
from pipeline.models.loading import load_strictly
from pipeline.strategies.base import Step, Strategy, TaskStart


class PNR(Strategy):
    """CaSSLe's prediction of the past, with negatives from the past network.

    With p = q(z), q an MLP, and z̄ from the frozen previous network:

    - SimCLR: -log of e^{z·z⁺/τ} / [Σ_z e^{z·z_j/τ} + Σ_z̄ e^{z·z̄_j/τ}], in place of L_SSL, plus
      -weight · log of e^{p·z̄/τ} / [Σ_z̄ e^{p·z̄_j/τ} + Σ_z e^{p·z_j/τ}].
    - MoCo v2+: the same with queries, keys and two queues.
    - BYOL, Barlow Twins, VICReg: L_SSL + weight · L_D(p, z̄) - negative_weight · D⁻(p, z̄'), z̄' of
      the other view.

    ``pipeline.methods.pseudo_negatives`` has each in full. In logs ``ssl`` is what stands in for
    L_SSL, and ``pnr`` what is added.

    q and the second queue cross task boundaries, as in the public code (csm9493/PNR). Differs from
    it: both sums of SimCLR are over all GPUs' images, and its first has the temperature of the
    method's objective, there that of the distillation; the recipes have 0.2 for both.

    Args:
        weight: λ, of what draws the prediction to the past; for VICReg times its invariance weight.
        negative_weight: λ⁻ of BYOL, Barlow Twins and VICReg; None: 0.5, 1 and 23, the recipes' for
            new classes. A VICReg whose λ⁻ is above λ has no minimum.
        predictor_hidden: the width of q's hidden layer; 2048 in the paper.
        teacher_batchnorm: see ``frozen_copy``; ``batch`` in the public code.
    """

    def __init__(
        self,
        *,
        weight: float,
        negative_weight: float | None,
        predictor_hidden: int,
        teacher_batchnorm: TeacherBatchNorm,
    ) -> None:
        super().__init__()
        self.weights = Weights(weight, negative_weight)
        self.predictor_hidden = predictor_hidden
        self.teacher_batchnorm: TeacherBatchNorm = teacher_batchnorm
        # The predictor, and the negatives that outlast a step: what the next task goes on with.
        self.kept = nn.ModuleDict()
        self._past: tuple[Tensor, ...] = ()

    def begin_task(self, start: TaskStart) -> None:
        """Freeze the network as the previous task left it; build q, or load the carried q."""
        method = start.method
        self.teacher = frozen_copy(method, self.teacher_batchnorm, without=method.loss_only)
        size = method.projection_dim
        self.kept["predictor"] = mlp([size, self.predictor_hidden, size], batch_norm=True)
        self.kept["negatives"] = build_pseudo_negatives(method, self.weights)
        if start.carried:
            load_strictly(self.kept, start.carried)

    @property
    def negatives(self) -> PseudoNegatives:
        """The method's losses."""
        return cast(PseudoNegatives, self.kept["negatives"])

    def objective(self, step: Step) -> Tensor:
        """Return L_SSL, or what stands in its place."""
        with torch.no_grad():
            self._past = cast(Method, self.teacher).encode(step.views).projections
        return self.negatives.contrast(step.method, step.views, step.encoded, self._past)

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return what is added; ``objective`` has just been asked for the same step."""
        present, past = step.encoded.projections, self._past
        self._past = ()
        predicted: Tensor = self.kept["predictor"](torch.cat(present))
        chunks = predicted.chunk(len(present))
        return {"pnr": self.negatives.regularize(step.method, present, chunks, past)}

    def after_step(self, method: Method, at: Position) -> None:
        """Update the second queue, if there is one."""
        self.negatives.after_step()

    def carried(self) -> dict[str, Tensor]:
        """Return q's weights and statistics, and the second queue."""
        return dict(self.kept.state_dict())
