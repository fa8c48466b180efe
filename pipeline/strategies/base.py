"""The Strategy contract: what the past adds to the objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.methods.base import Encoded, Method, Position, Views
from pipeline.models.loading import require_names


class Generators(Protocol):
    """Random streams of a task, one for each purpose and number."""

    def __call__(self, *purpose: str | int) -> torch.Generator:
        """Return a new CPU generator, e.g. for ``("er", step)``."""


class IndexedImages(Protocol):
    """Images that are read by their places; a tensor is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Tensor, /) -> Tensor:
        """Return the images at ``indices`` ``(B,)``, uint8 ``(B, C, H, W)``."""


@dataclass(frozen=True)
class TaskStart:
    """What a strategy may look at when a task begins.

    Attributes:
        task: the number of the task that begins, 2 or more.
        method: the network as the previous task left it. It is about to be trained: copy
            what has to stay as it was.
        carried: what the previous task's strategy carried; empty on task 2.
        previous_images: the previous task's training images, which need not be in memory:
            read what is needed.
        augment: makes the views of a batch of uint8 images ``(N, C, H, W)``; of several
            processes each gives its own rows of a batch.
        normalise: makes a batch of uint8 images one normalised view, not augmented.
        batch_size: images that a loss sees at once, over all processes.
        device: where to compute what looking back needs.
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
    """One training step, as strategies see it.

    Attributes:
        method: the network in training.
        views: the views it was given, each ``(N, C, H, W)``.
        encoded: what it made of them.
        at: where in the task it is; the step itself is not counted yet.
    """

    method: Method
    views: Views
    encoded: Encoded
    at: Position


class Strategy(nn.Module):
    """What the past adds to L_SSL; here nothing, so a strategy overrides what it needs.

    A strategy looks back when a task begins, never when one ends, and none acts on task 1:
    so the state after task 1 is the same for every strategy. What it must remember from
    task to task is listed by ``carried`` and handed back in ``TaskStart.carried``; its
    options are keyword arguments of ``__init__``. A network it keeps as it was is its
    ``teacher``, which stays in eval mode. What it draws at random it draws from
    ``TaskStart.generators`` by the number of the step (``Position.stream``), so nothing random
    has to be saved. Of several processes each draws for the whole batch and takes its own rows
    (``pipeline.distributed.collectives.own_rows``), so all of them see what one would.
    """

    teacher: nn.Module | None

    def __init__(self) -> None:
        super().__init__()
        self.teacher = None

    def train(self, mode: bool = True) -> Strategy:
        """Switch between training and evaluation; the teacher stays as it is."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def epochs(self, counts: Sequence[int], batch_size: int, epochs: int) -> int:
        """Return how many epochs to train.

        Args:
            counts: images of each task that is learnt now.
            batch_size: images a step.
            epochs: epochs of a task.
        """
        return epochs

    def begin_task(self, start: TaskStart) -> None:
        """Look back: keep a teacher, fill a memory, build modules, take over what is carried.

        Raises:
            ValueError: the carried tensors are not this strategy's (missing, unknown, or of
                other shapes).
        """
        require_names(start.carried, ())

    def mix(self, views: Views, at: Position) -> Views:
        """Return the views that the network sees instead of ``views``."""
        return views

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return named loss terms to add to L_SSL, each a scalar, weights applied."""
        return {}

    def carried(self) -> dict[str, Tensor]:
        """Return the tensors that the next task's strategy starts from."""
        return {}
