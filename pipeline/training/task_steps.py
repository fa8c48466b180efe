"""The steps of a task, in the phases of its strategy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from pipeline.errors import RunError
from pipeline.methods.base import Position


class TaskSteps:
    """The steps of a task: where its phases begin, and its epochs end.

    Schedules begin anew in each phase. The last epoch is shorter where the steps do not fill it.

    Args:
        phases: the steps of each phase, one or more.
        per_epoch: steps of an epoch.
        minibatches: of the task, if each comes once; see ``Position``.

    Attributes:
        total: steps of the task.
        epochs: epochs of the task, a shorter last one included.
    """

    def __init__(self, phases: Sequence[int], per_epoch: int, minibatches: int = 0) -> None:
        self.phases = tuple(phases)
        self.per_epoch = per_epoch
        self.minibatches = minibatches
        self.total = sum(phases)
        self.epochs = self.number_epoch(self.total)
        self._starts = [0, *accumulate(self.phases)][:-1]

    def locate(self, step: int) -> Position:
        """Return the position before a step, from 0; after the last one it is in the last phase."""
        phase = max(number for number, start in enumerate(self._starts) if start <= step)
        return Position(
            step,
            self.per_epoch,
            self.phases[phase],
            phase=phase,
            phase_start=self._starts[phase],
            minibatches=self.minibatches,
        )

    def number_epoch(self, step: int) -> int:
        """Return the number, from 1, of the epoch that holds the last of ``step`` steps."""
        return -(-step // self.per_epoch)

    def ends_epoch(self, step: int) -> bool:
        """Return whether an epoch ends when ``step`` steps are done."""
        return step % self.per_epoch == 0 or step == self.total


def spend_budget(
    phases: Sequence[int], per_epoch: int, budget: int, images: int, task: int
) -> list[int]:
    """Return the steps of each phase, so that a task passes as many images as a budget allows.

    Phases keep their shares.

    Args:
        phases: epochs of each phase, as they are without a budget.
        per_epoch: steps of an epoch.
        budget: images that may pass forward and backward through the network in the task.
        images: those of one step, each view counted.
        task: its number, for the message.

    Raises:
        RunError: the budget is smaller than one epoch of the shortest phase and, in their shares,
            of the others.
    """
    steps, epochs = budget // images, sum(phases)
    least = -(-per_epoch * epochs // min(phases))
    if steps < least:
        raise RunError(
            f"train.budget must be at least {least * images} for task {task}: a step passes "
            f"{images} images forward and backward, each view counted, and it takes {least} steps "
            f"to see each image once{' in every phase' if len(phases) > 1 else ''}; got {budget}; "
            "raise it"
        )
    # Rounded half up, so that no phase gets less than the whole steps of its share.
    ends = [(2 * steps * end + epochs) // (2 * epochs) for end in accumulate(phases)]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]
