"""CLA-R (Cignoni et al., CoLLAs 2025): align replayed images with what is stored of them."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipeline.distributed.collectives import gather_rows, own_rows
from pipeline.methods.base import Method, Position, Views
from pipeline.strategies.alignment import LatentAlignment
from pipeline.strategies.base import Step, TaskStart
from pipeline.strategies.memories.base import Inserted, put_rows

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
    rows: ClassVar[str | None] = "targets"

    targets: Tensor

    def begin_task(self, start: TaskStart) -> None:
        """Begin without targets, or take over what was carried."""
        self._fresh: list[Tensor] = []  # mean projections of the step's images, a part each
        super().begin_task(start)

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
