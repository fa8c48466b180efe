"""Batches of a task's images, from memory, from a store or from files alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler, SequentialSampler

from pipeline.data.source import Pixels
from pipeline.seeding import generator


class Images(Dataset[Tensor]):
    """Some of a data set's images, read a batch at a time.

    Args:
        pixels: of the data set.
        places: which of them, ``(N,)``.
        workers: processes that read ahead; 0: this one reads.
    """

    def __init__(self, pixels: Pixels, places: NDArray[np.int64], workers: int = 0) -> None:
        self.pixels = pixels
        self.places = places
        self.workers = workers

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Return the images at ``indices`` ``(B,)``, uint8 ``(B, C, H, W)``."""
        return self._read(indices.numpy())

    def __getitems__(self, indices: list[int]) -> Tensor:
        """Return a batch ``(B, C, H, W)`` in one operation."""
        return self._read(np.array(indices, np.int64))

    def _read(self, indices: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self.pixels[self.places[indices]])


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


def training_batches(images: Images, batch_size: int, seed: int, task: int) -> DataLoader[Tensor]:
    """Return full batches of uint8 images ``(batch_size, C, H, W)``.

    The images left over at the end of an epoch wait for another epoch's order.
    """
    sampler = BatchSampler(EpochShuffle(len(images), seed, task), batch_size, drop_last=True)
    return _loader(images, sampler)


def ordered_batches(images: Images, batch_size: int) -> DataLoader[Tensor]:
    """Return all images in their order; the last batch may be smaller."""
    order = SequentialSampler(range(len(images)))
    return _loader(images, BatchSampler(order, batch_size, drop_last=False))


def _loader(images: Images, sampler: BatchSampler) -> DataLoader[Tensor]:
    return DataLoader(
        images,
        batch_sampler=sampler,
        collate_fn=_as_it_is,
        num_workers=images.workers,
        # Not started anew each epoch.
        persistent_workers=images.workers > 0,
    )
