"""LUMP (Madaan et al., 2022): mix each image with one from memory."""

from __future__ import annotations

import numpy as np

from pipeline.distributed.collectives import own_rows, world_size
from pipeline.methods.base import Position, Views
from pipeline.strategies.memories.choice import MemoryKind
from pipeline.strategies.memory import MemoryStrategy


def mixup(views: Views, past: Views, share: float) -> Views:
    """Return λ x + (1 - λ) x_mem for each view (LUMP, equation 6).

    Args:
        views: views of the batch, each ``(N, C, H, W)``.
        past: views of as many memory images, each ``(N, C, H, W)``.
        share: λ, from 0 to 1; 1 leaves the views unchanged.
    """
    return tuple(share * x + (1 - share) * m for x, m in zip(views, past, strict=True))


class Lump(MemoryStrategy):
    """L_SSL on views mixed with views of memory images, λ ~ Beta(α, α) once a batch.

    No projection is of a memory image alone, so the features of ``minred`` stay as they are when
    an image enters.

    Args:
        memory: which images stay.
        memory_size: images in the memory; 0 is finetune.
        alpha: α.
    """

    def __init__(self, *, memory: MemoryKind, memory_size: int, alpha: float) -> None:
        super().__init__(memory=memory, memory_size=memory_size)
        self.alpha = alpha

    def mix(self, views: Views, at: Position) -> Views:
        """Return the mixed views."""
        if len(self.memory) == 0:
            return views
        generator = self._generators("lump", *at.stream)
        share = np.random.default_rng(generator.initial_seed()).beta(self.alpha, self.alpha)
        places = own_rows(self.memory.draw_indices(len(views[0]) * world_size(), generator))
        images = self.memory.images[places]
        return mixup(views, self._augment(images, generator), share)
