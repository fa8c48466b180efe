"""The Strategy contract: what a strategy against forgetting adds to the objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.methods.base import Encoded, Method, Position, Views
from pipeline.models.loading import require_names


class Generators(Protocol):
    """A task's random streams, one for each purpose."""

    def __call__(self, *purpose: str | int) -> torch.Generator:
        """Return a new CPU generator, e.g. for ``("er", step)``."""


class IndexedImages(Protocol):
    """Images read by index; a tensor qualifies."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Tensor, /) -> Tensor:
        """Return the images at ``indices`` ``(B,)``, uint8 ``(B, C, H, W)``."""


@dataclass(frozen=True)
class TaskStart:
    """The inputs of a strategy when a task begins.

    Attributes:
        task: the number of the task that begins; 1 where it looks back at weights that were
            trained elsewhere.
        method: the network as the previous task left it. It is about to be trained: copy
            what has to stay as it was.
        carried: what the previous task's strategy carried; empty on the first that it acts on.
        previous_images: the previous task's training images, if the strategy's entry in the
            registry has ``looks_back``; else none. They may be on disk, so read only those
            that are needed.
        augment: makes the views of a batch of uint8 images ``(N, C, H, W)``; each rank passes
            its own rows of the global batch.
        normalize: normalises a batch of uint8 images, without augmentation.
        batch_size: images that a loss sees at once, over all ranks.
        device: the device for computations when the task begins.
        generators: random streams of this task.
    """

    task: int
    method: Method
    carried: Mapping[str, Tensor]
    previous_images: IndexedImages
    augment: Callable[[Tensor, torch.Generator], Views]
    normalize: Callable[[Tensor], Tensor]
    batch_size: int
    device: str
    generators: Generators


@dataclass(frozen=True)
class Step:
    """One training step.

    Attributes:
        method: the network in training.
        views: its input views, each ``(N, C, H, W)``.
        encoded: its features and projections of them.
        at: the position in the task; this step is not counted yet.
    """

    method: Method
    views: Views
    encoded: Encoded
    at: Position


class Strategy(nn.Module):
    """The base of all strategies; by itself it is fine-tuning, L_SSL alone.

    A strategy looks back when a task begins, never when one ends, and none acts on task 1, unless
    params have it look back at pretrained weights: so the state after task 1 is the same for every
    strategy. The tensors that it needs from
    task to task are returned by ``carried`` and passed back in ``TaskStart.carried``; its
    options are keyword arguments of ``__init__``. A frozen copy of the network is its
    ``teacher``, which stays in eval mode. Random numbers come from ``TaskStart.generators``
    by the number of the step (``Position.stream``), so no random state has to be saved. Each
    rank draws for the global batch and takes its own rows
    (``pipeline.distributed.collectives.own_rows``), so all ranks together see what a single
    process would.
    """

    teacher: nn.Module | None

    def __init__(self) -> None:
        super().__init__()
        self.teacher = None

    def train(self, mode: bool = True) -> Strategy:
        """Switch between training and evaluation; the teacher stays in eval mode."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def epochs(self, counts: Sequence[int], batch_size: int, epochs: int) -> int:
        """Return the number of epochs to train.

        Args:
            counts: images of each task that this training learns.
            batch_size: images a step.
            epochs: the epochs of one task, from params.
        """
        return epochs

    def begin_task(self, start: TaskStart) -> None:
        """Look back: freeze a teacher, fill a memory, build modules, load the carried tensors.

        Raises:
            ValueError: a carried tensor is missing, unknown or of another shape.
        """
        require_names(start.carried, ())

    def mix(self, views: Views, at: Position) -> Views:
        """Return the views to train on instead of ``views``."""
        return views

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return the loss terms to add to L_SSL by name, each a weighted scalar."""
        return {}

    def carried(self) -> dict[str, Tensor]:
        """Return the tensors that the next task's strategy needs."""
        return {}
