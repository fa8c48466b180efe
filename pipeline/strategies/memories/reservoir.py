"""A reservoir: a uniform sample of the stream (Vitter, 1985, algorithm R)."""

from __future__ import annotations

import torch

from pipeline.strategies.base import IndexedImages
from pipeline.strategies.memories.base import Inserted, Memory, Project, latest_sources


class Reservoir(Memory):
    """A uniform sample of all images seen so far.

    Every image seen is in it with the same probability, size / seen. No class and no task is
    looked at.
    """

    def insert(
        self, images: IndexedImages, generator: torch.Generator, project: Project
    ) -> Inserted:
        """Offer images; only those that stay are read."""
        seen = int(self.seen)
        number = torch.arange(seen, seen + len(images))
        draw = torch.rand(len(images), generator=generator, dtype=torch.float64)
        place = torch.where(number < self.size, number, (draw * (number + 1)).long())
        stays = place < self.size
        sources = torch.arange(len(images))[stays]
        inserted = latest_sources(place[stays], sources, self._count_after(len(images)))
        self._write(images, inserted)
        return inserted
