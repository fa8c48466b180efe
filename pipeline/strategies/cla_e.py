"""CLA-E (Cignoni et al., CoLLAs 2025): align replayed images with a network that follows."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import nn

from pipeline.methods.base import Method, Position, Views
from pipeline.models.frozen import frozen_copy
from pipeline.models.momentum import update_momentum
from pipeline.strategies.alignment import LatentAlignment
from pipeline.strategies.base import Step, TaskStart
from pipeline.strategies.memories.choice import MemoryKind

PARTS = ("backbone", "projector")  # of the network that follows


class CLAE(LatentAlignment):
    """L_SSL(s ∪ r) - ω ½ Σ_v cos(a(z_r,v), z'_r,v), z' of a network that follows this one.

    Its backbone and projector begin as copies, and after each step move by ξ ← m ξ + (1 - m) θ.
    BatchNorm in it uses the statistics of the replayed views, as in the authors' public code,
    where it stays in train mode.

    Args:
        memory: see ``LatentAlignment``; likewise the four that follow.
        memory_size: see above.
        batch_share: see above.
        weight: see above.
        aligner_hidden: see above.
        momentum: m; 0.999 in the paper.
    """

    name: ClassVar[str] = "cla_e"
    purpose: ClassVar[str] = "cla_e"

    def __init__(
        self,
        *,
        memory: MemoryKind,
        memory_size: int,
        batch_share: float,
        weight: float,
        aligner_hidden: int,
        momentum: float,
    ) -> None:
        super().__init__(
            memory=memory,
            memory_size=memory_size,
            batch_share=batch_share,
            weight=weight,
            aligner_hidden=aligner_hidden,
        )
        self.momentum = momentum

    def begin_task(self, start: TaskStart) -> None:
        """Build the network that follows, or take it over as it was carried."""
        method = start.method
        held = [*dict(method.named_children()), *dict(method.named_buffers(recurse=False))]
        without = [name for name in held if name not in PARTS]
        self.teacher = frozen_copy(method, "batch", without=without)
        super().begin_task(start)

    def list_carried(self) -> dict[str, nn.Module]:
        """Return the aligner and the network that follows."""
        assert self.teacher is not None, "the task has begun"
        return super().list_carried() | {"teacher": self.teacher}

    @property
    def _follower(self) -> Method:
        return cast(Method, self.teacher)

    def find_targets(self, step: Step, rows: slice) -> Views:
        """Return the projections of the replayed views by the network that follows."""
        with torch.no_grad():
            replayed = tuple(view[rows] for view in step.views)
            return self._follower.encode(replayed).projections

    def after_step(self, method: Method, at: Position) -> None:
        """Let the network follow, and the memory take in what has come."""
        update_momentum(self._follower.backbone, method.backbone, self.momentum)
        update_momentum(self._follower.projector, method.projector, self.momentum)
        super().after_step(method, at)
