"""Tell loggers the metrics of each epoch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import pytorch_lightning as pl
from pytorch_lightning.loggers.logger import Logger
from torch import Tensor

from pipeline.files.sealed_json import JsonValue
from pipeline.training.learner import Learner


class EpochLogging(pl.Callback):
    """Log the rows of ``EpochLog``: loss terms, spread and rank of the projections, the rate.

    A task that goes on logs again what an earlier process logged, so a logger has all of it. What
    this process trains has ``images_per_second`` as well, of all that it did meanwhile.

    Args:
        loggers: the Trainer has them too, for ``self.log``.
        params: of the run.
        steps_before: of the tasks before, so that steps count on from task to task.
        batch_size: images of a step.
    """

    def __init__(
        self,
        loggers: Sequence[Logger],
        params: Mapping[str, JsonValue],
        steps_before: int,
        batch_size: int,
    ) -> None:
        self.loggers = list(loggers)
        self.params = params
        self.steps_before = steps_before
        self.batch_size = batch_size
        self.logged = 0
        self.timed_from = (0, 0.0)  # a step, and when it had been taken

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the params, and the epochs that an earlier process trained."""
        for logger in self.loggers:
            logger.log_hyperparams(dict(self.params))
        self._log(pl_module, timed=False)
        assert isinstance(pl_module, Learner)
        self.timed_from = (pl_module.position.step, time.monotonic())

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Tensor, batch_idx: int
    ) -> None:
        """Log the epoch that ended with the step before: a callback's end of step comes first."""
        self._log(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the last epoch."""
        self._log(pl_module)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Log the epochs that ended before training stops."""
        self._log(pl_module)

    def _log(self, pl_module: pl.LightningModule, timed: bool = True) -> None:
        assert isinstance(pl_module, Learner)
        rows = pl_module.epochs.rows
        for row in rows[self.logged :]:
            metrics = {name: value for name, value in row.items() if value is not None}
            step = int(metrics.pop("step"))
            if timed:
                before, begun = self.timed_from
                self.timed_from = (step, time.monotonic())
                seconds = max(self.timed_from[1] - begun, 1e-9)
                metrics["images_per_second"] = (step - before) * self.batch_size / seconds
            for logger in self.loggers:
                logger.log_metrics(metrics, self.steps_before + step)
        self.logged = len(rows)
