"""SimCLR (Chen et al., 2020): contrast each image's two views with all others."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pipeline.distributed.collectives import gather_rows
from pipeline.methods.base import Encoded, Views
from pipeline.methods.contrastive import ContrastiveDistillation, nt_xent
from pipeline.models.backbone import Backbone
from pipeline.models.heads import mlp


class SimCLR(ContrastiveDistillation):
    """SimCLR with an MLP projector without BatchNorm.

    Args:
        backbone: the network to train.
        temperature: τ of the objective.
        distill_temperature: τ of the distillation; 0.2 in the reference.
        projector: sizes of the projector's hidden layers and output.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        temperature: float,
        distill_temperature: float,
        projector: Sequence[int],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projector = mlp([backbone.num_features, *projector], batch_norm=False)
        self.projection_dim = projector[-1]
        self.temperature = temperature
        self.distill_temperature = distill_temperature

    def loss(self, views: Views, encoded: Encoded) -> Tensor:
        """NT-Xent between the two views of the global batch."""
        z1, z2 = (gather_rows(z) for z in encoded.projections)
        return nt_xent(z1, z2, self.temperature)
