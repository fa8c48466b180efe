"""Experience replay: memory images are appended to each batch."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.distributed.collectives import own_rows, world_size
from pipeline.methods.base import Position, Views
from pipeline.strategies.base import Strategy, TaskStart
from pipeline.strategies.memory import Reservoir, memory_batch_size


class ExperienceReplay(Strategy):
    """L_SSL on the batch and memory images together.

    In a composition, the terms of other strategies see the joined batch too.

    The memory holds images of earlier tasks and is filled when a task begins. Unlike the
    buffers of supervised replay, it does not take in the present task's images.

    Args:
        memory_size: images in the memory; 0 is finetune.
        batch_share: memory images for each image of the batch; at most the memory's, and a
            multiple of the world size.
    """

    def __init__(self, *, memory_size: int, batch_share: float) -> None:
        super().__init__()
        self.memory = Reservoir(memory_size)
        self.batch_share = batch_share

    def begin_task(self, start: TaskStart) -> None:
        """Fill the memory from the previous task."""
        self._augment, self._generators = start.augment, start.generators
        self.memory.look_back(start)

    def count_images(self, batch_size: int, views: int) -> int:
        """Return the images of a step, those from memory among them."""
        return (batch_size + self._count(batch_size)) * views

    def _count(self, batch_size: int) -> int:
        """The number of images from memory beside so many of the stream, over all ranks."""
        return memory_batch_size(round(self.batch_share * batch_size), len(self.memory))

    def mix(self, views: Views, at: Position) -> Views:
        """Return each view with a view of memory images appended."""
        count = self._count(len(views[0]) * world_size())
        if count == 0:
            return views
        generator = self._generators("er", *at.stream)
        images = self.memory.images[own_rows(self.memory.draw_indices(count, generator))]
        replayed = self._augment(images, generator)
        return tuple(torch.cat(pair) for pair in zip(views, replayed, strict=True))

    def carried(self) -> dict[str, Tensor]:
        """Return the memory."""
        return dict(self.memory.state_dict())
