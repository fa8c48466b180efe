"""Batches of a task's images, read from memory, a store or image files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler, SequentialSampler

from pipeline.data.source import Bytes, ImageReader
from pipeline.errors import PipelineError
from pipeline.seeding import generator


class ReadableImages(Protocol):
    """What is needed of images to read them in batches; a ``Selection`` has it."""

    def __len__(self) -> int: ...

    def reader(self) -> ImageReader:
        """Return the reader of these images."""

    def workers(self) -> int:
        """Return the number of processes to read training batches; 0: read in this process."""


class Images(Dataset[Tensor]):
    """Images of a data set, read a batch at a time.

    Args:
        selections: the images, of one task after another.

    Attributes:
        workers: processes that read ahead; 0: this process reads.
    """

    def __init__(self, *selections: ReadableImages) -> None:
        self.readers: list[ImageReader] = [selection.reader() for selection in selections]
        self.ends = np.cumsum([len(selection) for selection in selections])
        self.workers = max(selection.workers() for selection in selections)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Return the images at ``indices`` ``(B,)``, uint8 ``(B, C, H, W)``."""
        return self._read(indices.numpy())

    def __getitems__(self, indices: list[int]) -> Tensor:
        """Return a batch, uint8 ``(B, C, H, W)``, in one operation."""
        return self._read(np.array(indices, np.int64))

    def _read(self, indices: NDArray[np.int64]) -> Tensor:
        if len(self.readers) == 1:
            return torch.from_numpy(self.readers[0][indices])
        chosen = np.searchsorted(self.ends, indices, side="right")
        starts = self.ends - np.diff(self.ends, prepend=0)
        found: Bytes | None = None
        for number in np.unique(chosen):
            rows = chosen == number
            read = self.readers[number][indices[rows] - starts[number]]
            if found is None:
                found = np.empty((len(indices), *read.shape[1:]), np.uint8)
            found[rows] = read
        assert found is not None, "a batch holds an image"
        return torch.from_numpy(found)


class FallibleImages(Dataset[Tensor | PipelineError]):
    """Images whose unreadable batches come back as the error instead of raising in a worker.

    torch would turn an error raised in a worker into the text of its traceback.

    Args:
        images: the images to read.
    """

    def __init__(self, images: Images) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: list[int]) -> Tensor | PipelineError:
        """Return a batch, uint8 ``(B, C, H, W)``, or the error of reading it."""
        try:
            return self.images.__getitems__(indices)
        except PipelineError as error:
            return error


class Loader(DataLoader[Tensor]):
    """Batches of uint8 images ``(B, C, H, W)``."""

    def __iter__(self) -> Iterator[Tensor]:  # type: ignore[override]
        """Yield the batches in order.

        Raises:
            DataError: an image cannot be read.
        """
        for batch in super().__iter__():
            if isinstance(batch, PipelineError):
                raise batch
            yield batch


class TaskOrder(Sampler[list[int]]):
    """The batches of all epochs of a task, as lists of indices, from any step on.

    A step's batch is divided into ``parts``, one after another, and each part by rows over the
    ranks, in rank order.

    The order of an epoch depends on the seed, the task and the epoch alone, so a step's batch
    does not depend on where training was resumed. The last images of an epoch that do not fill
    a batch are dropped; the next epoch has another order.

    Args:
        count: images of the task.
        batch_size: images a step.
        epochs: epochs of the task.
        seed: the run's seed.
        task: the number of the task, from 1.
        parts: the number of parts of a step's batch (accumulated gradients).
        rank: this process's rank.
        processes: the world size.

    Attributes:
        start: the number of completed steps, where iteration begins.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        epochs: int,
        seed: int,
        task: int,
        parts: int = 1,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.count = count
        self.batch_size = batch_size
        self.steps_per_epoch = count // batch_size
        self.total_steps = self.steps_per_epoch * epochs
        self.seed = seed
        self.task = task
        self.parts = parts
        self.rank = rank
        self.processes = processes
        self.start = 0

    def __len__(self) -> int:
        return (self.total_steps - self.start) * self.parts

    def __iter__(self) -> Iterator[list[int]]:
        order: list[int] = []
        for step in range(self.start, self.total_steps):
            epoch, place = divmod(step, self.steps_per_epoch)
            if not order or place == 0:
                stream = generator(self.seed, "order", self.task, epoch)
                order = torch.randperm(self.count, generator=stream).tolist()
            share = self.batch_size // (self.parts * self.processes)
            for part in range(self.parts):
                first = place * self.batch_size + (part * self.processes + self.rank) * share
                yield order[first : first + share]


class MinibatchOrder(TaskOrder):
    """The steps on a task's minibatches, each of which comes once and is not seen again.

    Images come in a random order, or in that of the stream where it says one, and the steps are
    spread evenly over the minibatches.

    Args:
        count: images of the task.
        batch_size: images a minibatch.
        steps: of the task, one or more on each minibatch.
        seed: the run's seed.
        task: the number of the task, from 1.
        rank: this process's rank.
        processes: the world size.
        ordered: whether the images are in the order in which they come.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        steps: int,
        seed: int,
        task: int,
        rank: int = 0,
        processes: int = 1,
        *,
        ordered: bool = False,
    ) -> None:
        super().__init__(count, batch_size, 1, seed, task, 1, rank, processes)
        self.ordered = ordered
        self.minibatches = self.steps_per_epoch
        self.total_steps = steps

    def __iter__(self) -> Iterator[list[int]]:
        stream = generator(self.seed, "order", self.task, 0)
        order: list[int] = torch.randperm(self.count, generator=stream).tolist()
        if self.ordered:
            order.sort()
        share = self.batch_size // self.processes
        for step in range(self.start, self.total_steps):
            minibatch = step * self.minibatches // self.total_steps
            first = minibatch * self.batch_size + self.rank * share
            yield order[first : first + share]


def _identity(batch: Any) -> Any:
    return batch


def ordered_batches(images: Images, batch_size: int) -> DataLoader[Tensor]:
    """Return the loader of all images in order; the last batch may be smaller."""
    order = SequentialSampler(range(len(images)))
    return training_batches(images, BatchSampler(order, batch_size, drop_last=False))


def training_batches(
    images: Images, order: Sampler[list[int]] | Sequence[list[int]], *, pin: bool = False
) -> DataLoader[Tensor]:
    """Return the loader of batches, uint8 ``(N, C, H, W)``.

    Args:
        images: to read from.
        order: the places of each batch's images.
        pin: whether batches lie in pinned memory, from which a GPU copies without waiting.
    """
    return Loader(
        FallibleImages(images) if images.workers else images,  # type: ignore[arg-type]
        batch_sampler=order,
        collate_fn=_identity,
        num_workers=images.workers,
        pin_memory=pin,
    )
