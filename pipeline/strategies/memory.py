"""A reservoir of raw images from the tasks before."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.distributed.collectives import world_size
from pipeline.models.loading import require_names
from pipeline.strategies.base import IndexedImages, TaskStart


def memory_batch_size(wanted: int, held: int) -> int:
    """Return how many images to draw for a batch of all processes: as many for each."""
    count = min(wanted, held)
    return count - count % world_size()


class Reservoir(nn.Module):
    """A uniform sample of all images seen so far (Vitter, 1985, algorithm R).

    Every image of the stream is in it with the same probability, size / seen.

    Args:
        size: images it holds at most; 0: none.

    Attributes:
        images: what it holds, uint8 ``(M, C, H, W)``.
        seen: how many images have passed.
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
        """Take over the carried memory, then let the previous task's images pass.

        Args:
            start: of the task that begins.
            beside: names of what else the strategy carries.

        Returns:
            The places that changed, ``(K,)``.

        Raises:
            ValueError: what is carried is no memory of this size.
        """
        if start.carried:
            require_names(start.carried, ("images", "seen", *beside))
            self.restore(start.carried["images"], start.carried["seen"])
        return self.insert(start.previous_images, start.generators("reservoir"))

    def restore(self, images: Tensor, seen: Tensor) -> None:
        """Take over the memory of the task before.

        Raises:
            ValueError: it is not one of this size.
        """
        count = min(self.size, int(seen))
        if images.dtype != torch.uint8 or images.ndim != 4 or len(images) != count:
            raise ValueError(
                f"the memory holds {len(images)} images, expected {count} "
                f"(size {self.size}, {int(seen)} seen)"
            )
        self.images, self.seen = images.clone(), seen.clone()

    def insert(self, images: IndexedImages, generator: torch.Generator) -> Tensor:
        """Let images pass; some of them stay, and those alone are read.

        Args:
            images: uint8 ``(N, C, H, W)``.
            generator: decides which.

        Returns:
            The places that changed, ``(K,)``.
        """
        seen = int(self.seen)
        number = torch.arange(seen, seen + len(images))
        draw = torch.rand(len(images), generator=generator, dtype=torch.float64)
        place = torch.where(number < self.size, number, (draw * (number + 1)).long())
        stays = place < self.size
        total = min(self.size, seen + len(images))
        # A place that was taken twice holds the later image.
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
        """Return ``count`` places, each drawn at once before any is drawn again."""
        rounds = -(-count // len(self))
        orders = [torch.randperm(len(self), generator=generator) for _ in range(rounds)]
        return torch.cat(orders)[:count].to(self.images.device)
