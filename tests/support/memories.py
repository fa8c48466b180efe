"""Images that say which they are, and memories of them."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.strategies.memories.base import Inserted, Memory


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(first: int, count: int) -> Tensor:
    """Images that say which they are: two pixels, base 256."""
    number = torch.arange(first, first + count)
    pixels = torch.stack([number // 256, number % 256], dim=1)
    return pixels.to(torch.uint8).reshape(count, 1, 1, 2)


def number_of(images: Tensor) -> list[int]:
    """The numbers of such images."""
    return [int(a) * 256 + int(b) for a, b in images.reshape(-1, 2)]


def numbers(memory: Memory) -> list[int]:
    """The numbers of the images in a memory, by place."""
    return number_of(memory.images)


def never(images: Tensor) -> Tensor:
    """Stand in for a network that no one should ask."""
    raise AssertionError("nothing depends on the network")


def insert(memory: Memory, first: int, count: int, seed: int = 0) -> Inserted:
    """Offer numbered images to a memory that does not look at features."""
    return memory.insert(numbered(first, count), stream(seed), never)
