"""Dark experience replay (Buzzega et al., 2020), without labels."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.distributed.collectives import gather_rows, own_rows
from pipeline.methods.base import Method
from pipeline.methods.precision import in_float32
from pipeline.strategies.base import Step, TaskStart
from pipeline.strategies.memories.base import Inserted, put_rows
from pipeline.strategies.memories.choice import MemoryKind
from pipeline.strategies.memory import MemoryStrategy, memory_batch_size

CHUNK = 256  # images projected at a time when the memory is filled


@in_float32
def mean_squared_error(z: Tensor, stored: Tensor) -> Tensor:
    """Mean over vectors and dimensions of (z - stored)², both ``(N, D)``."""
    return functional.mse_loss(z, stored)


class DarkExperienceReplay(MemoryStrategy):
    """L_SSL + α · MSE between the present and the stored projections of memory images.

    A projection is stored when its image enters the memory, and never changed. Images are
    projected without augmentation, with BatchNorm's running statistics: so the term is 0 as
    long as the network has not changed. L_SSL sees the batch alone, as in the paper's DER;
    ``er+der`` replays the images as well (its DER++).

    Args:
        memory: which images stay.
        memory_size: images in the memory; 0 is finetune.
        batch_share: memory images for each image of the batch; at most the memory's, and a
            multiple of the world size.
        weight: α.
    """

    rows: ClassVar[str | None] = "projections"

    projections: Tensor

    def __init__(
        self, *, memory: MemoryKind, memory_size: int, batch_share: float, weight: float
    ) -> None:
        super().__init__(memory=memory, memory_size=memory_size)
        self.batch_share = batch_share
        self.weight = weight
        self._count = 0

    def begin_task(self, start: TaskStart) -> None:
        """Fill the memory from the previous task, and project with the network it left."""
        self._count = round(self.batch_share * start.batch_size)
        super().begin_task(start)

    def keep(self, method: Method, inserted: Inserted) -> None:
        """Store the projections of images that have come into the memory."""
        for places in torch.split(inserted.places, CHUNK):
            if len(places):
                stored = self.project(method, self.memory.images[places])
                stored = stored.to(self.projections.device).float()
                self.projections = put_rows(self.projections, places, stored)

    def count_images(self, batch_size: int, views: int) -> int:
        """Return the images of a step: memory images pass once, in each part of the batch.

        While a memory fills, the first steps have fewer.
        """
        parts = self.count_parts(batch_size)
        held = memory_batch_size(self._count, self.capacity)
        return batch_size * views + parts * held

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return the mean squared error between present and stored projections."""
        if memory_batch_size(self._count, self.capacity) == 0:
            return {}
        count = memory_batch_size(self._count, len(self.memory))
        if count == 0:  # until images have come
            return {"der": step.views[0].new_zeros(())}
        drawn = self.memory.draw_indices(count, self._generators("der", *step.at.stream))
        places = own_rows(drawn)
        present = self.project(step.method, self.memory.images[places])
        if self.memory.uses_projections:
            self.memory.refresh(drawn, gather_rows(present.detach().float()))
        return {"der": self.weight * mean_squared_error(present, self.projections[places])}
