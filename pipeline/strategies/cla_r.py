"""CLA-R (Cignoni et al., CoLLAs 2025): align replayed images with what is stored of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.distributed.collectives import gather_rows, own_rows
from pipeline.methods.base import Method, Position, Views
from pipeline.strategies.alignment import LatentAlignment
from pipeline.strategies.base import Step, TaskStart
from pipeline.strategies.memories.base import Inserted, put_rows
from pipeline.strategies.memories.choice import MemoryKind

DECAY = 0.5  # of the moving average of targets


class CLAR(LatentAlignment):
    """L_SSL(s ∪ r) - ω ½ Σ_v cos(a(z_r,v), z*_r), z* stored with each image of the memory.

    When an image enters, z* is the mean over its views of z in the last step on it. Each time it is
    replayed, it is aligned with z*, and then z* ← ½ z* + ½ mean_v z_r,v.

    Args:
        memory: see ``LatentAlignment``; likewise the four that follow.
        memory_size: see above.
        batch_share: see above.
        weight: see above.
        aligner_hidden: see above.

    Attributes:
        targets: z*, ``(M, D)``, a row for each image of the memory.
    """

    name: ClassVar[str] = "cla_r"
    purpose: ClassVar[str] = "cla_r"

    targets: Tensor

    def __init__(
        self,
        *,
        memory: MemoryKind,
        memory_size: int,
        batch_share: float,
        weight: float,
        aligner_hidden: int,
    ) -> None:
        super().__init__(
            memory=memory,
            memory_size=memory_size,
            batch_share=batch_share,
            weight=weight,
            aligner_hidden=aligner_hidden,
        )
        self.register_buffer("targets", torch.zeros(0, 1))
        self._fresh: list[Tensor] = []  # mean projections of the step's images, a part each

    def begin_task(self, start: TaskStart) -> None:
        """Begin without targets, or take over what was carried."""
        self.targets = torch.zeros(0, start.method.projection_dim)
        super().begin_task(start)

    def restore(self, start: TaskStart, beside: Sequence[str] = ()) -> None:
        """Load what was carried."""
        super().restore(start, (*beside, "targets"))
        before = start.carried["targets"]
        expected = (len(self.memory), start.method.projection_dim)
        if before.shape != expected:
            raise ValueError(f"targets are {tuple(before.shape)}, expected {expected}")
        self.targets = before.clone()

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return the alignment; then move the targets of replayed images, and note new ones."""
        found = super().terms(step)
        if self._replays:
            present = gather_rows(self._mean_over_views(step, self._rows))
            self.targets[self._places] = torch.lerp(present, self.targets[self._places], DECAY)
        self._fresh.append(gather_rows(self._mean_over_views(step, slice(self._batch))))
        return found

    def find_targets(self, step: Step, rows: slice) -> Views:
        """Return what is stored of each replayed image, for each view."""
        stored = self.targets[own_rows(self._places)]
        return tuple(stored for _ in step.views)

    def keep(self, method: Method, inserted: Inserted) -> None:
        """Store the projections that the step has made of images now in the memory."""
        fresh = torch.cat(self._fresh)[inserted.sources]
        self.targets = put_rows(self.targets, inserted.places, fresh)

    def after_step(self, method: Method, at: Position) -> None:
        """Let the memory take in what has come."""
        super().after_step(method, at)
        self._fresh = []

    def carried(self) -> dict[str, Tensor]:
        """Return the memory, the aligner and the targets."""
        return super().carried() | {"targets": self.targets}
