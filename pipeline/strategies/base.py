"""The Strategy contract: what a strategy against forgetting adds to the objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.methods.base import Encoded, Method, Position, Views
from pipeline.models.loading import require_names

OBJECTIVE = "ssl"  # the name of L_SSL, or of what stands in its place, among the losses


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
        online: whether the images of the stream come once, in minibatches. A memory then takes
            them in as they come, and there are no images of the task before.
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
    online: bool = False


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

    A strategy looks back when a task begins, never when one ends. On task 1 it acts only where
    its entry in the registry says so, or params have it look back at pretrained weights: else the
    state after task 1 is the same for every strategy. The tensors that it needs from task to task
    are returned by ``carried`` and passed back in ``TaskStart.carried``; its options are keyword
    arguments of ``__init__``. A frozen copy of the network is its ``teacher``, which stays in eval
    mode. Random numbers come from ``TaskStart.generators`` by the number of the step
    (``Position.stream``), so no random state has to be saved; all tensors that the next step
    depends on are parameters and buffers. Each rank draws for the global batch and takes its own
    rows (``pipeline.distributed.collectives.own_rows``), so all ranks together see what a single
    process would.

    In each step the hooks are called in this order: ``observe``, ``mix``, ``objective``,
    ``terms``, and after the optimizer's step ``after_step``.
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

    def phases(self, counts: Sequence[int], batch_size: int, epochs: int) -> Sequence[int]:
        """Return the number of epochs of each phase of a task; most strategies have one phase.

        Args:
            counts: images of each task that this training learns.
            batch_size: images a step.
            epochs: the epochs of one task, from params.
        """
        return (epochs,)

    def count_images(self, batch_size: int, views: int) -> int:
        """Return the images that pass forward and backward in a step, each view counted.

        Args:
            batch_size: images of the stream in a step.
            views: of each.
        """
        return batch_size * views

    def begin_task(self, start: TaskStart) -> None:
        """Look back: freeze a teacher, fill a memory, build modules, load the carried tensors.

        Raises:
            ValueError: a carried tensor is missing, unknown or of another shape.
        """
        require_names(start.carried, ())

    def begin_phase(self, method: Method, phase: int) -> None:
        """Prepare the next phase of the task, without gradients.

        The optimizer begins each phase anew, and so do the schedules. Not called for phase 0.

        Args:
            method: the network as the phase before left it; its weights may be changed in place.
            phase: the number of the phase that begins, from 1.
        """

    def observe(self, images: Tensor, at: Position) -> None:
        """Look at the images of a batch, or of a part of one, before their views are made.

        Args:
            images: this rank's, uint8 ``(N, C, H, W)``.
            at: the position in the task.
        """

    def mix(self, views: Views, at: Position) -> Views:
        """Return the views to train on instead of ``views``."""
        return views

    def objective(self, step: Step) -> Tensor | None:
        """Return L_SSL, or the scalar that stands in its place.

        None: the method's loss takes no part in this step, so the method's own hooks are not
        called either.
        """
        return step.method.loss(step.views, step.encoded)

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return the loss terms to add to the objective by name, each a weighted scalar."""
        return {}

    def after_step(self, method: Method, at: Position) -> None:
        """Update what gradients do not train, without gradients, once a step.

        Args:
            method: the network after the optimizer's step.
            at: the position in the task; this step is counted.
        """

    def carried(self) -> dict[str, Tensor]:
        """Return the tensors that the next task's strategy needs."""
        return {}

    def losses(self, step: Step) -> dict[str, Tensor]:
        """Return what is minimised in a step, the sum of scalars by name.

        ``OBJECTIVE`` is missing where the method's loss takes no part.
        """
        objective = self.objective(step)
        return ({} if objective is None else {OBJECTIVE: objective}) | self.terms(step)
