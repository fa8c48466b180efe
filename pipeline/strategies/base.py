"""The Strategy contract, itself fine-tuning: what the past adds to the objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from pipeline.methods.base import Encoded, Method, Position, Views


@dataclass(frozen=True)
class TaskStart:
    """What a strategy may look at when a task begins.

    Attributes:
        task: the number of the task that begins, 2 or more.
        method: the network as the previous task left it. It is about to be trained: copy
            what has to stay as it was.
        previous_images: reads the previous task's images, uint8 ``(N, C, H, W)``; called
            only by strategies that look back at them.
        augment: makes the views of a batch of uint8 images ``(N, C, H, W)``.
    """

    task: int
    method: Method
    previous_images: Callable[[], Tensor]
    augment: Callable[[Tensor], Views]


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
    """Fine-tuning: L_SSL alone. Other strategies add to it.

    A strategy looks back when a task begins, never when one ends, and none acts on task 1:
    so the state after task 1 is the same for every strategy. What it must remember from
    task to task is a parameter or a buffer listed by ``carried``; its options are keyword
    arguments of ``__init__``.
    """

    def begin_task(self, start: TaskStart) -> None:
        """Look back: keep a teacher, fill a memory, build modules."""

    def mix(self, views: Views) -> Views:
        """Return the views that the network sees instead of ``views``."""
        return views

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return named loss terms to add to L_SSL, each a scalar, weights applied."""
        return {}

    def after_step(self, step: Step) -> None:
        """Update what is not trained by gradient, after the optimiser's step."""

    def carried(self) -> dict[str, Tensor]:
        """Return the tensors that the next task's strategy starts from."""
        return {}

    def resume_from(self, carried: dict[str, Tensor]) -> None:
        """Take over what the previous task's strategy carried; after ``begin_task``.

        Called with an empty dictionary on the first task that has a strategy.

        Raises:
            ValueError: the tensors are not this strategy's (missing, unknown, or of other
                shapes).
        """
        if carried:
            raise ValueError(f"finetune carries nothing, got {', '.join(sorted(carried))}")
