"""A reservoir of raw images from earlier tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.distributed.collectives import world_size
from pipeline.models.loading import require_names
from pipeline.runtime.device import send
from pipeline.strategies.base import IndexedImages, TaskStart


def memory_batch_size(wanted: int, held: int) -> int:
    """Return how many memory images to draw for the global batch: a multiple of the world size.

    Args:
        wanted: the wanted number.
        held: images in the memory, the largest possible number.
    """
    count = min(wanted, held)
    return count - count % world_size()


class Reservoir(nn.Module):
    """A uniform sample of all images seen so far (Vitter, 1985, algorithm R).

    Every image seen is in it with the same probability, size / seen.

    Args:
        size: the maximum number of images; may be 0.

    Attributes:
        images: the images in the memory, uint8 ``(M, C, H, W)``.
        seen: the number of images seen.
    """

    images: Tensor
    seen: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(0, 1, 1, 1, dtype=torch.uint8))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def __len__(self) -> int:
        return len(self.images)

    def look_back(self, start: TaskStart, beside: Sequence[str] = ()) -> Tensor:
        """Load the carried memory, then insert the previous task's images.

        Args:
            start: the start of the task.
            beside: names of the strategy's other carried tensors.

        Returns:
            The indices that changed in the memory, ``(K,)``.

        Raises:
            ValueError: the carried tensors are not a memory of this size.
        """
        if start.carried:
            require_names(start.carried, ("images", "seen", *beside))
            self.restore(start.carried["images"], start.carried["seen"])
        return self.insert(start.previous_images, start.generators("reservoir"))

    def restore(self, images: Tensor, seen: Tensor) -> None:
        """Load the memory of the previous task.

        Raises:
            ValueError: it is not a memory of this size.
        """
        count = min(self.size, int(seen))
        if images.dtype != torch.uint8 or images.ndim != 4 or len(images) != count:
            raise ValueError(
                f"the memory holds {len(images)} images, expected {count} "
                f"(size {self.size}, {int(seen)} seen)"
            )
        self.images, self.seen = images.clone(), seen.clone()

    def insert(self, images: IndexedImages, generator: torch.Generator) -> Tensor:
        """Offer images to the reservoir; only those that stay are read.

        Args:
            images: uint8 ``(N, C, H, W)``.
            generator: a CPU generator, decides which images stay.

        Returns:
            The indices that changed in the memory, ``(K,)``.
        """
        seen = int(self.seen)
        number = torch.arange(seen, seen + len(images))
        draw = torch.rand(len(images), generator=generator, dtype=torch.float64)
        place = torch.where(number < self.size, number, (draw * (number + 1)).long())
        stays = place < self.size
        total = min(self.size, seen + len(images))
        # Where two images get the same index, the later one stays.
        latest = torch.full((max(total, 1),), -1)
        latest.scatter_reduce_(0, place[stays], torch.arange(len(images))[stays], "amax")
        places = torch.nonzero(latest >= 0).squeeze(1)
        fresh = images[latest[places]]
        held = fresh.new_zeros(total, *fresh.shape[1:])
        held[: len(self.images)] = self.images
        held[places] = fresh
        self.images = held
        self.seen = torch.tensor(seen + len(images))
        return places

    def draw_indices(self, count: int, generator: torch.Generator) -> Tensor:
        """Return ``count`` random indices; every index is drawn once before any is repeated."""
        rounds = -(-count // len(self))
        orders = [torch.randperm(len(self), generator=generator) for _ in range(rounds)]
        return send(torch.cat(orders)[:count], self.images.device)
