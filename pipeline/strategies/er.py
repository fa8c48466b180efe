"""Experience replay: each batch is joined by images from a memory."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.distributed.collectives import own_rows, world_size
from pipeline.methods.base import Position, Views
from pipeline.strategies.base import Strategy, TaskStart
from pipeline.strategies.memory import Reservoir, memory_batch_size


class ExperienceReplay(Strategy):
    """L_SSL on the batch and a batch from memory together.

    Terms that other strategies add (in a composition) see the joined batch too.

    The memory is of the tasks before, filled when a task begins. It does not take up the
    present task's images as they pass, as the buffers of supervised replay do.

    Args:
        memory_size: images in the memory; 0 is finetune.
        batch_share: images from memory for each image of the batch; no more than there are,
            and of several processes as many for each.
    """

    def __init__(self, *, memory_size: int, batch_share: float) -> None:
        super().__init__()
        self.memory = Reservoir(memory_size)
        self.batch_share = batch_share

    def begin_task(self, start: TaskStart) -> None:
        """Fill the memory from the task before."""
        self._augment, self._generators = start.augment, start.generators
        self.memory.look_back(start)

    def mix(self, views: Views, at: Position) -> Views:
        """Return each view joined by a view of memory images."""
        wanted = round(self.batch_share * len(views[0]) * world_size())
        count = memory_batch_size(wanted, len(self.memory))
        if count == 0:
            return views
        generator = self._generators("er", *at.stream)
        images = self.memory.images[own_rows(self.memory.draw_indices(count, generator))]
        replayed = self._augment(images, generator)
        return tuple(torch.cat(pair) for pair in zip(views, replayed, strict=True))

    def carried(self) -> dict[str, Tensor]:
        """Return the memory."""
        return dict(self.memory.state_dict())
