"""The base of strategies that append memory images to each batch."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipeline.distributed.collectives import gather_rows, own_rows, world_size
from pipeline.methods.base import Position, Views
from pipeline.strategies.base import Step
from pipeline.strategies.memories.choice import MemoryKind
from pipeline.strategies.memory import MemoryStrategy, memory_batch_size


class ReplayStrategy(MemoryStrategy):
    """A strategy whose network sees the batch and memory images together.

    In a composition, the terms of other strategies see the joined batch too.

    Args:
        memory: which images stay.
        memory_size: images in the memory; 0: nothing is replayed.
        batch_share: memory images for each image of the batch; at most the memory's, and a
            multiple of the world size. 12.8 are 128 for a minibatch of 10.
    """

    purpose: ClassVar[str]  # names the random streams

    def __init__(self, *, memory: MemoryKind, memory_size: int, batch_share: float) -> None:
        super().__init__(memory=memory, memory_size=memory_size)
        self.batch_share = batch_share
        self._batch = 0  # images of the step on this rank, those of the stream alone
        # Where this rank's replayed images lie in the views, and the places of all in the memory.
        self._rows, self._places = slice(0, 0), torch.zeros(0, dtype=torch.long)

    def count_images(self, batch_size: int, views: int) -> int:
        """Return the images of a step, as many from memory among them as there can be.

        While a memory fills, the first steps have fewer.
        """
        parts = self.count_parts(batch_size)
        return (batch_size + parts * self._count(batch_size // parts, self.capacity)) * views

    def _count(self, batch_size: int, held: int) -> int:
        """The number of images from memory beside so many of the stream, over all ranks."""
        return memory_batch_size(round(self.batch_share * batch_size), held)

    def observe(self, images: Tensor, at: Position) -> None:
        """Count the images; see ``MemoryStrategy``."""
        super().observe(images, at)
        self._batch = len(images)

    def mix(self, views: Views, at: Position) -> Views:
        """Return each view with a view of memory images appended."""
        count = self._count(self._batch * world_size(), len(self.memory))
        before = len(views[0])  # another strategy's memory images may be there
        self._rows = slice(before, before + count // world_size())
        if count == 0:
            return views
        generator = self._generators(self.purpose, *at.stream)
        self._places = self.memory.draw_indices(count, generator)
        images = self.memory.images[own_rows(self._places)]
        replayed = self._augment(images, generator)
        return tuple(torch.cat(pair) for pair in zip(views, replayed, strict=True))

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Add nothing; tell a memory that compares images how the network sees them now."""
        if self.memory.uses_projections and self._replays:
            self.memory.refresh(self._places, gather_rows(self._mean_over_views(step, self._rows)))
        return {}

    @property
    def _replays(self) -> bool:
        """Whether there are replayed images in the step."""
        return bool(self._rows.stop > self._rows.start)
