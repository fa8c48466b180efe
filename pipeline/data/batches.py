"""Batches of one task's images, which live in memory as bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from pipeline.seeding import generator


class Images(Dataset[Tensor]):
    """Images ``(N, C, H, W)``, read a batch at a time."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]

    def __getitems__(self, indices: list[int]) -> Tensor:
        """Return a batch ``(B, C, H, W)`` in one operation."""
        return self.images[torch.tensor(indices)]


class EpochShuffle(Sampler[int]):
    """A new order of the images each epoch, from the seed, the task and the epoch alone."""

    def __init__(self, count: int, seed: int, task: int) -> None:
        self.count = count
        self.seed = seed
        self.task = task
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order; Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        order = generator(self.seed, "order", self.task, self.epoch)
        return iter(torch.randperm(self.count, generator=order).tolist())


def _as_it_is(batch: Any) -> Any:
    return batch


def training_batches(images: Tensor, batch_size: int, seed: int, task: int) -> DataLoader[Tensor]:
    """Return full batches of uint8 images ``(batch_size, C, H, W)``.

    The images left over at the end of an epoch wait for another epoch's order.
    """
    sampler = BatchSampler(EpochShuffle(len(images), seed, task), batch_size, drop_last=True)
    return DataLoader(Images(images), batch_sampler=sampler, collate_fn=_as_it_is)
