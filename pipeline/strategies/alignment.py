"""Continual latent alignment (CLA; Cignoni et al., CoLLAs 2025): what both its kinds share."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.methods.base import Views
from pipeline.methods.precision import in_float32
from pipeline.models.heads import mlp
from pipeline.strategies.base import Step, TaskStart
from pipeline.strategies.memories.choice import MemoryKind
from pipeline.strategies.replay import ReplayStrategy


@in_float32
def mean_cosine_over_views(aligned: Views, targets: Views) -> Tensor:
    """½ Σ_v cos(a(z_v), z'_v), the mean over the images, for two views.

    Args:
        aligned: a(z) of each view, each ``(N, D)``.
        targets: z' of each view, each ``(N, D)``.
    """
    cosines = [
        functional.cosine_similarity(a, z, dim=1).mean()
        for a, z in zip(aligned, targets, strict=True)
    ]
    return torch.stack(cosines).mean()


class LatentAlignment(ReplayStrategy):
    """L_SSL(s ∪ r) - ω ½ Σ_v cos(a(z_r,v), z'_r,v): s of the stream, r replayed ones.

    The aligner a is Linear without bias - BatchNorm - ReLU - Linear on projections z, so every
    method can be aligned. It sees the replayed images alone, and no boundary is told: the memory
    takes images in as they come, from the first step of task 1 on. Where images pass in epochs,
    each enters after the first epoch's step on it. So a ``fifo`` memory that is no larger than a
    task holds next to nothing of earlier tasks from the second epoch on; a ``reservoir`` does.

    Differs from the public code: while the memory holds fewer images than are wanted, all of them
    are replayed; there, none.

    Args:
        memory: which images stay; the paper has the last ones.
        memory_size: images in the memory; 0 is finetune.
        batch_share: replayed images for each image of the batch, at most the memory's.
        weight: ω.
        aligner_hidden: the width of a's hidden layer; 512 in the paper.
    """

    name: ClassVar[str]  # of the loss term

    def __init__(
        self,
        *,
        memory: MemoryKind,
        memory_size: int,
        batch_share: float,
        weight: float,
        aligner_hidden: int,
    ) -> None:
        super().__init__(memory=memory, memory_size=memory_size, batch_share=batch_share)
        self.weight = weight
        self.aligner_hidden = aligner_hidden
        self.aligner: nn.Module = nn.Identity()

    def begin_task(self, start: TaskStart) -> None:
        """Build a, or take it over with the memory and all else that was carried."""
        size = start.method.projection_dim
        self.aligner = mlp([size, self.aligner_hidden, size], batch_norm=True)
        super().begin_task(start)
        # Where nothing is replayed nothing trains it; parallel training waits for each gradient.
        self.aligner.requires_grad_(self._may_replay)

    @property
    def _may_replay(self) -> bool:
        return self.memory.size > 0 and self.batch_share > 0

    def takes_in_as_they_come(self, start: TaskStart) -> bool:
        """Return True, in task streams too."""
        return True

    def list_carried(self) -> dict[str, nn.Module]:
        """Return the aligner."""
        return {"aligner": self.aligner}

    @abstractmethod
    def find_targets(self, step: Step, rows: slice) -> Views:
        """Return z' of each view of this rank's replayed images, ``(K, D)``, without gradient."""

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return the negative cosine similarity of aligned projections and their targets."""
        super().terms(step)
        if not self._may_replay:
            return {}
        if not self._replays:
            # As long as nothing has come. In data-parallel training each parameter has to have a
            # gradient in each step.
            return {
                self.name: 0.0 * torch.stack([p.sum() for p in self.aligner.parameters()]).sum()
            }
        present = [z[self._rows] for z in step.encoded.projections]
        targets = self.find_targets(step, self._rows)
        aligned: Tensor = self.aligner(torch.cat(present))
        cosine = mean_cosine_over_views(aligned.chunk(len(present)), targets)
        return {self.name: -self.weight * cosine}
