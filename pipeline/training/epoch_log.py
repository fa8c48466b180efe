"""The epochs of a task: means of the loss terms, signs of collapse, and whether all is finite."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from pipeline.distributed.collectives import mean_over_ranks, world_size
from pipeline.errors import RunError
from pipeline.metrics.collapse import COLLAPSED_RANK, COLLAPSED_STD, projection_std, rankme

logger = logging.getLogger(__name__)

REMEDIES = "lower train.learning_rate, raise train.warmup_epochs, or set train.precision: 32-true"


class EpochLog:
    """The loss terms of the epoch that runs, summed, and a row of metrics for each that has ended.

    Of several processes each holds the same: terms and projections are of the global batch.

    Args:
        task: the number of the task, from 1.
        steps_per_epoch: steps of the optimizer.

    Attributes:
        rows: one of each epoch: task, epoch, step, the loss terms, ``projection_std``,
            ``projection_rank``, ``learning_rate``, and what probes have measured; None: nothing.
        sums: of each loss term over the steps, or their parts, since the epoch began.
        summed: how many those are, of each term; one of another phase has fewer.
        warned: whether a collapse of the task has been noticed.
        prints: whether this process warns, and tells of errors; of several one does.
    """

    def __init__(self, task: int, steps_per_epoch: int) -> None:
        self.task = task
        self.steps_per_epoch = steps_per_epoch
        self.rows: list[dict[str, float | None]] = []
        self.sums: dict[str, Tensor] = {}
        self.summed: dict[str, int] = {}
        self.warned = False
        self.prints = True

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Add a step's loss terms to the sums; of several processes their mean."""
        values = list(terms.values())
        if world_size() > 1:
            values = list(mean_over_ranks(torch.stack(values)))
        for name, value in zip(terms, values, strict=True):
            before = self.sums.get(name)
            self.sums[name] = value.detach() + (0.0 if before is None else before)
            self.summed[name] = self.summed.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """Return the mean of each loss term over those steps of the epoch so far that had it."""
        return {name: float(total) / self.summed[name] for name, total in self.sums.items()}

    def end_epoch(self, step: int, projections: Tensor, learning_rate: float) -> None:
        """Add the row of the epoch that ends, and begin the next one.

        Args:
            step: steps of the task that are done.
            projections: of the last step's views, ``(V · N, D)``.
            learning_rate: of the next step.

        Raises:
            RunError: a loss term or a projection is not finite.
        """
        self.require_finite(step)
        if not projections.isfinite().all():
            raise self._error(step, "projections are not finite")
        epoch = {"task": self.task, "epoch": -(-step // self.steps_per_epoch), "step": step}
        signs = {
            "projection_std": projection_std(projections),
            "projection_rank": rankme(projections),
        }
        if signs["projection_std"] < COLLAPSED_STD or signs["projection_rank"] < COLLAPSED_RANK:
            self._warn_of_collapse(epoch["epoch"], signs)
        self.rows.append({**epoch, **self.means(), **signs, "learning_rate": learning_rate})
        self.sums, self.summed = {}, {}

    def require_finite(self, step: int) -> None:
        """Check the loss terms of the epoch so far.

        Raises:
            RunError: one is not finite.
        """
        for name, value in self.means().items():
            if not math.isfinite(value):
                raise self._error(step, f"the loss term '{name}' is {value}")

    def require_finite_tensors(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Check tensors, by the names that an error calls them.

        Raises:
            RunError: one is not finite.
        """
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise self._error(step, f"{name} is not finite")

    def _error(self, step: int, what: str) -> RunError:
        epoch = (step - 1) // self.steps_per_epoch + 1
        error = RunError(
            f"task {self.task}, epoch {epoch}: {what}; {REMEDIES}. States of earlier tasks and the "
            "last checkpoint of this one are untouched"
        )
        # What is logged and trained is the same in all processes, so all of them notice.
        error.reported_by_another_rank = not self.prints
        return error

    def _warn_of_collapse(self, epoch: int, signs: Mapping[str, float]) -> None:
        """Say once a task that the projections say the same of all images."""
        if not self.warned and self.prints:
            logger.warning(
                "task %d, epoch %d: the projections have collapsed (spread %.3f of 1, effective "
                "rank %.1f); lower train.learning_rate or change the options of the method",
                self.task,
                epoch,
                signs["projection_std"],
                signs["projection_rank"],
            )
        self.warned = True
