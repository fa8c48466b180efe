"""MinRed (Purushwalkam et al., ECCV 2022): a memory of images that differ from one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.strategies.base import IndexedImages
from pipeline.strategies.memories.base import (
    Inserted,
    Memory,
    Project,
    latest_sources,
    put_rows,
)

CHUNK = 256  # images offered at a time
DECAY = 0.5  # of the moving average of features
BELOW = -2.0  # below all cosines


def find_redundant(features: Tensor, count: int) -> Tensor:
    """Return the indices of rows to drop, so that those left are far from one another.

    One by one: of the two rows with the smallest cosine distance the one that comes first.

    Args:
        features: of length 1, ``(N, D)``.
        count: rows to drop, at most N.

    Returns:
        The indices in the order of dropping, ``(count,)``, on the CPU.
    """
    cosines = (features @ features.T).fill_diagonal_(BELOW)
    nearest, partner = cosines.max(dim=1)
    dropped = []
    for _ in range(count):
        row = int(nearest.argmax())
        # Of one row alone, its own cosine is the largest that is left.
        row = min(row, int(partner[row])) if nearest[row] > BELOW else row
        dropped.append(row)
        nearest[row] = float("-inf")
        cosines[:, row] = BELOW
        stale = torch.nonzero((partner == row) & nearest.isfinite()).squeeze(1)
        nearest[stale], partner[stale] = cosines[stale].max(dim=1)
    return torch.tensor(dropped, dtype=torch.long)


class MinRed(Memory):
    """The images whose features have the largest distances (MinRed, section 4).

    Over capacity, one of the two images with the smallest cosine distance is dropped: of one in
    memory and a new one the former, so that images go on coming in. A feature f is the network's
    projection z of an image, scaled to length 1. It is stored when the image enters, from the image
    without augmentation and with BatchNorm's running statistics; when the image is replayed, it
    moves halfway to the mean of its views' z: f ← ⟨½ f + ½ ⟨mean_v z⟩⟩.

    Differs from the public code: there the first feature is of training's views too, and an image
    that was never replayed has none and stays.

    Attributes:
        features: ``(M, D)``, a row for each image.
    """

    uses_projections: ClassVar[bool] = True

    features: Tensor

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.register_buffer("features", torch.zeros(0, 1))

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what ``state_dict`` of such a memory held."""
        super().restore(tensors)
        features = tensors["features"]
        if features.ndim != 2 or len(features) != len(self):
            raise ValueError(
                f"features are {tuple(features.shape)}, expected a row for each of {len(self)} "
                "images"
            )
        self.features = features.clone()

    def insert(
        self, images: IndexedImages, generator: torch.Generator, project: Project
    ) -> Inserted:
        """Offer images, a chunk after another; all of them are read."""
        total = self._count_after(len(images))
        places = sources = torch.zeros(0, dtype=torch.long)
        for first in range(0, len(images), CHUNK):
            numbers = torch.arange(first, min(first + CHUNK, len(images)))
            fresh = images[numbers]
            new = functional.normalize(project(fresh).float(), dim=1).to(self.features.device)
            taken, kept = self._choose(new)
            self.features = put_rows(self.features, taken, new[kept])
            self._write(fresh, Inserted(taken, kept))
            places, sources = torch.cat([places, taken]), torch.cat([sources, numbers[kept]])
        return latest_sources(places, sources, total)

    def _choose(self, new: Tensor) -> tuple[Tensor, Tensor]:
        """The places that images get, and which of them, from the features ``(N, D)`` of all."""
        held, count = len(self), len(new)
        total = min(self.size, held + count)
        rows = torch.cat([self.features, new]) if held else new
        drops = torch.zeros(held + count, dtype=torch.bool)
        drops[find_redundant(rows, held + count - total)] = True
        free = torch.nonzero(drops[:held]).squeeze(1)
        kept = torch.nonzero(~drops[held:]).squeeze(1)
        return torch.cat([free, torch.arange(held, total)]), kept

    def refresh(self, places: Tensor, projections: Tensor) -> None:
        """Move features halfway to the present ones."""
        present = functional.normalize(projections.float(), dim=1)
        moved = torch.lerp(present, self.features[places], DECAY)
        self.features[places] = functional.normalize(moved, dim=1)
