"""The Memory contract: raw images of the stream that are kept to be seen again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.strategies.base import IndexedImages

# Projections z of uint8 images (N, C, H, W), one for each: (N, D), without gradient.
Project = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Inserted:
    """What an insertion has changed in a memory.

    Attributes:
        places: of the images that are new in the memory, rising, ``(K,)``.
        sources: the index of each among the images that were offered, ``(K,)``.
    """

    places: Tensor
    sources: Tensor


class Memory(nn.Module, ABC):
    """At most ``size`` images; a subclass decides which of those offered stay.

    An image keeps its place as long as it stays, so a strategy can keep a tensor beside the
    images, a row for each place. With several processes all hold the same.

    Args:
        size: the maximum number of images; may be 0.

    Attributes:
        images: the images in the memory, uint8 ``(M, C, H, W)``.
        seen: the number of images offered so far.
    """

    uses_projections: ClassVar[bool] = False  # whether ``insert`` and ``refresh`` use them
    depends_on_order: ClassVar[bool] = False  # whether the order of a task's images shapes it

    images: Tensor
    seen: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(0, 1, 1, 1, dtype=torch.uint8))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def __len__(self) -> int:
        return len(self.images)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what ``state_dict`` of such a memory held.

        Args:
            tensors: by name; exactly those of ``state_dict``.

        Raises:
            ValueError: it is not a memory of this size.
        """
        images, seen = tensors["images"], tensors["seen"]
        count = min(self.size, int(seen))
        if images.dtype != torch.uint8 or images.ndim != 4 or len(images) != count:
            raise ValueError(
                f"the memory holds {len(images)} images, expected {count} "
                f"(size {self.size}, {int(seen)} seen)"
            )
        self.images, self.seen = images.clone(), seen.clone()

    @abstractmethod
    def insert(
        self, images: IndexedImages, generator: torch.Generator, project: Project
    ) -> Inserted:
        """Offer images of the stream, in its order.

        Args:
            images: uint8 ``(N, C, H, W)``.
            generator: a CPU generator, for what is drawn.
            project: for what depends on the network.
        """

    def refresh(self, places: Tensor, projections: Tensor) -> None:
        """Take note of projections that the network has made of images in the memory.

        Args:
            places: of the images, each once, ``(K,)``.
            projections: of them, ``(K, D)``, without gradient.
        """

    def draw_indices(self, count: int, generator: torch.Generator) -> Tensor:
        """Return ``count`` random indices; every index is drawn once before any is repeated."""
        rounds = -(-count // len(self))
        orders = [torch.randperm(len(self), generator=generator) for _ in range(rounds)]
        return torch.cat(orders)[:count].to(self.images.device)

    def _write(self, images: IndexedImages, inserted: Inserted) -> None:
        """Put those images that stay into their places, and count all; others are not read."""
        self.images = put_rows(self.images, inserted.places, images[inserted.sources])
        self.seen = torch.tensor(int(self.seen) + len(images))

    def _count_after(self, offered: int) -> int:
        """The number of images that the memory holds once so many more were offered."""
        return min(self.size, int(self.seen) + offered)


def latest_sources(places: Tensor, sources: Tensor, count: int) -> Inserted:
    """Return which image each place has in the end, where the later one of several stays.

    Args:
        places: those that images were put into, one after another, ``(N,)``.
        sources: the index of each image, rising, ``(N,)``.
        count: places of the memory.
    """
    latest = torch.full((max(count, 1),), -1)
    latest.scatter_reduce_(0, places, sources, "amax")
    changed = torch.nonzero(latest >= 0).squeeze(1)
    return Inserted(changed, latest[changed])


def put_rows(held: Tensor, places: Tensor, rows: Tensor) -> Tensor:
    """Return a tensor with rows put into places; ``held`` itself where no place is new.

    Args:
        held: ``(M, ...)``.
        places: ``(K,)``; those from M on follow one another without a gap.
        rows: ``(K, ...)``.
    """
    grown = max(len(held), int(places[-1]) + 1) if len(places) else len(held)
    if grown > len(held) or held.shape[1:] != rows.shape[1:]:
        longer = rows.new_zeros(grown, *rows.shape[1:])
        longer[: len(held)] = held
        held = longer
    held[places] = rows
    return held
