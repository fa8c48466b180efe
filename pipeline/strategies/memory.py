"""The base of strategies with a memory: how images of the stream get into it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.distributed.collectives import gather_rows, world_size
from pipeline.methods.base import Method, Position
from pipeline.models.frozen import running_statistics
from pipeline.models.loading import load_strictly, require_names, select_below
from pipeline.strategies.base import IndexedImages, Step, Strategy, TaskStart
from pipeline.strategies.memories.base import Inserted
from pipeline.strategies.memories.choice import MemoryKind, build_memory


class ShuffledImages:
    """Images in a drawn order, as training passes over them; a task's own may be class by class.

    Args:
        images: those of a task.
        generator: draws the order.
    """

    def __init__(self, images: IndexedImages, generator: torch.Generator) -> None:
        self.images = images
        self.order = torch.randperm(len(images), generator=generator)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: Tensor, /) -> Tensor:
        return self.images[self.order[indices]]


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

    A subclass that keeps a vector of the size of z for each image names that buffer in ``rows``,
    and its modules that cross task boundaries in ``list_carried``: they go with the memory.

    Args:
        memory: which images stay.
        memory_size: the maximum number of images.
    """

    rows: ClassVar[str | None] = None

    def __init__(self, *, memory: MemoryKind, memory_size: int) -> None:
        super().__init__()
        self.memory = build_memory(memory, memory_size)
        self._as_they_come = False
        self._part = 0  # images of the stream that the network sees at once, over all ranks
        self._observed: list[Tensor] = []
        if self.rows is not None:
            self.register_buffer(self.rows, torch.zeros(0, 1))

    def begin_task(self, start: TaskStart) -> None:
        """Take over the carried memory; in a task stream fill it from the previous task."""
        self._augment, self._normalize = start.augment, start.normalize
        self._generators, self._part = start.generators, start.batch_size
        if self.rows is not None:
            setattr(self, self.rows, torch.zeros(0, start.method.projection_dim))
        if start.carried:
            self._restore(start)
        self._as_they_come = self.takes_in_as_they_come(start)
        if not self._as_they_come:
            images = start.previous_images
            if self.memory.depends_on_order:
                images = ShuffledImages(images, start.generators("memory_order"))
            self._insert(start.method.to(start.device), images, start.generators("reservoir"))

    def count_parts(self, batch_size: int) -> int:
        """Return in how many parts a step's batch passes; 1 before the strategy begins a task."""
        return max(1, round(batch_size / self._part)) if self._part else 1

    def takes_in_as_they_come(self, start: TaskStart) -> bool:
        """Return whether the memory takes in this task's images; else those of the one before."""
        return start.online

    def list_carried(self) -> dict[str, nn.Module]:
        """Return the modules, by name, whose weights cross task boundaries."""
        return {}

    def _restore(self, start: TaskStart) -> None:
        """Load what was carried.

        Raises:
            ValueError: it is not of a memory of this kind and size, or of such a strategy.
        """
        own, rows = list(self.memory.state_dict()), [] if self.rows is None else [self.rows]
        require_names(start.carried, (*own, *self._carried_weights(), *rows))
        self.memory.restore({name: start.carried[name] for name in own})
        for name, module in self.list_carried().items():
            load_strictly(module, select_below(start.carried, name))
        for name in rows:
            before, expected = start.carried[name], (len(self.memory), start.method.projection_dim)
            if before.shape != expected:
                raise ValueError(f"{name} are {tuple(before.shape)}, expected {expected}")
            setattr(self, name, before.clone())

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

        In float32, in the precision of training too: projections are compared with those of other
        steps, some of which are made while a task begins.

        Args:
            method: the network.
            images: uint8 ``(N, C, H, W)``.

        Returns:
            ``(N, D)``, on the network's device.
        """
        device = next(method.parameters()).device
        with running_statistics(method), torch.autocast(device.type, enabled=False):
            return method.encode((self._normalize(images.to(device)),)).projections[0]

    @staticmethod
    def _mean_over_views(step: Step, rows: slice) -> Tensor:
        """The mean of the views' projections of some images, ``(K, D)``, float32, no gradient."""
        projections = [z[rows].detach().float() for z in step.encoded.projections]
        return torch.stack(projections).mean(dim=0)

    @property
    def capacity(self) -> int:
        """Images that the memory holds, or will hold once enough have come."""
        return self.memory.size if self._as_they_come else len(self.memory)

    def carried(self) -> dict[str, Tensor]:
        """Return the memory, and what is carried with it."""
        rows = {} if self.rows is None else {self.rows: getattr(self, self.rows)}
        return dict(self.memory.state_dict()) | self._carried_weights() | rows

    def _carried_weights(self) -> dict[str, Tensor]:
        """The weights of the modules that cross task boundaries."""
        return {
            f"{name}.{key}": tensor
            for name, module in self.list_carried().items()
            for key, tensor in module.state_dict().items()
        }
