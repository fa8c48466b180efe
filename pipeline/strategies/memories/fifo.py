"""A queue: the last images of the stream, first in, first out."""

from __future__ import annotations

from typing import ClassVar

import torch

from pipeline.strategies.base import IndexedImages
from pipeline.strategies.memories.base import Inserted, Memory, Project


class Fifo(Memory):
    """Exactly the last ``size`` images seen; a new one takes the place of the oldest."""

    depends_on_order: ClassVar[bool] = True

    def insert(
        self, images: IndexedImages, generator: torch.Generator, project: Project
    ) -> Inserted:
        """Offer images; only the last ``size`` of them are read."""
        sources = torch.arange(max(0, len(images) - self.size), len(images))
        # Image number n of the stream lies at n mod size.
        places, order = torch.sort((int(self.seen) + sources) % max(1, self.size))
        inserted = Inserted(places, sources[order])
        self._write(images, inserted)
        return inserted
