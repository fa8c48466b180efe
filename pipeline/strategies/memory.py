"""The base of strategies with a memory: how images of the stream get into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from pipeline.distributed.collectives import gather_rows, world_size
from pipeline.methods.base import Method, Position
from pipeline.models.frozen import running_statistics
from pipeline.models.loading import require_names
from pipeline.strategies.base import IndexedImages, Strategy, TaskStart
from pipeline.strategies.memories.base import Inserted
from pipeline.strategies.memories.choice import MemoryKind, build_memory


def memory_batch_size(wanted: int, held: int) -> int:
    """Return how many memory images to draw for the global batch: a multiple of the world size.

    Args:
        wanted: the wanted number.
        held: images in the memory, the largest possible number.
    """
    count = min(wanted, held)
    return count - count % world_size()


class MemoryStrategy(Strategy):
    """A strategy that keeps images of the stream.

    In a task stream the memory holds images of earlier tasks: those of the task before are offered
    to it when a task begins. In an online stream it takes the images in as they come, each
    minibatch once, after the last step on it, from the first task on.

    Args:
        memory: which images stay.
        memory_size: the maximum number of images.
    """

    def __init__(self, *, memory: MemoryKind, memory_size: int) -> None:
        super().__init__()
        self.memory = build_memory(memory, memory_size)
        self._as_they_come = False
        self._part = 0  # images of the stream that the network sees at once, over all ranks
        self._observed: list[Tensor] = []

    def begin_task(self, start: TaskStart) -> None:
        """Take over the carried memory; in a task stream fill it from the previous task."""
        self._augment, self._normalize = start.augment, start.normalize
        self._generators, self._part = start.generators, start.batch_size
        if start.carried:
            self.restore(start)
        self._as_they_come = self.takes_in_as_they_come(start)
        if not self._as_they_come:
            self._insert(
                start.method.to(start.device),
                start.previous_images,
                start.generators("reservoir"),
            )

    def count_parts(self, batch_size: int) -> int:
        """Return in how many parts a step's batch passes; 1 before the strategy begins a task."""
        return max(1, round(batch_size / self._part)) if self._part else 1

    def takes_in_as_they_come(self, start: TaskStart) -> bool:
        """Return whether the memory takes in this task's images; else those of the one before."""
        return start.online

    def restore(self, start: TaskStart, beside: Sequence[str] = ()) -> None:
        """Load the carried memory.

        Args:
            start: the start of the task; something is carried.
            beside: names of the strategy's other carried tensors.

        Raises:
            ValueError: the carried tensors are not a memory of this kind and size.
        """
        own = list(self.memory.state_dict())
        require_names(start.carried, (*own, *beside))
        self.memory.restore({name: start.carried[name] for name in own})

    def keep(self, method: Method, inserted: Inserted) -> None:
        """Keep what belongs to images that have just come into the memory, without gradients.

        Args:
            method: the network as it is then.
            inserted: which images they are.
        """

    def observe(self, images: Tensor, at: Position) -> None:
        """Remember the images of the step until it ends."""
        if self._as_they_come:
            self._observed.append(images)

    def after_step(self, method: Method, at: Position) -> None:
        """Offer the images of the step to the memory, if this was the last on its minibatch.

        Where images pass in epochs, that is the one step on them of the first epoch.
        """
        observed, self._observed = self._observed, []
        before = replace(at, step=at.step - 1)
        last = at.minibatch_ends if at.minibatches else before.epoch == at.phase == 0
        if observed and last:
            images = torch.cat([gather_rows(part) for part in observed])
            self._insert(method, images, self._generators("reservoir", at.step))

    def _insert(self, method: Method, images: IndexedImages, generator: torch.Generator) -> None:
        with torch.no_grad():
            inserted = self.memory.insert(images, generator, partial(self.project, method))
            self.keep(method, inserted)

    def project(self, method: Method, images: Tensor) -> Tensor:
        """Return projections of images without augmentation, by BatchNorm's running statistics.

        Args:
            method: the network.
            images: uint8 ``(N, C, H, W)``.

        Returns:
            ``(N, D)``, on the network's device.
        """
        device = next(method.parameters()).device
        with running_statistics(method):
            return method.encode((self._normalize(images.to(device)),)).projections[0]

    @property
    def capacity(self) -> int:
        """Images that the memory holds, or will hold once enough have come."""
        return self.memory.size if self._as_they_come else len(self.memory)

    def carried(self) -> dict[str, Tensor]:
        """Return the memory."""
        return dict(self.memory.state_dict())
