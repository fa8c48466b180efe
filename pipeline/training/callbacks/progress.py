"""One progress bar a task, or a plain line now and then where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from pipeline.artifacts.training_log import list_measured, name_measurement
from pipeline.training.learner import Learner

REFRESH_SECONDS = 0.5
PLAIN_LINES = 5  # a task


class TaskProgress(pl.Callback):
    """Show the named loss terms, the learning rate and the time left."""

    def __init__(self, num_epochs: int) -> None:
        self.num_epochs = num_epochs
        self.bar: Progress | None = None
        self.started = 0.0
        self.begun_at = 0
        self.refreshed = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        assert isinstance(pl_module, Learner)
        self.started = time.monotonic()
        self.begun_at = pl_module.position.step
        console = Console(file=sys.stderr)
        if console.is_terminal:
            self.bar = Progress(
                TextColumn("task {task.fields[task]}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
                console=console,
            )
            self.bar.start()
            self.bar.add_task(
                "", total=pl_module.steps.total, completed=self.begun_at, task=pl_module.task
            )

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: Tensor,
        batch_idx: int,
    ) -> None:
        """Move the bar on; read the losses at most twice a second, for reading waits."""
        assert isinstance(pl_module, Learner)
        if (batch_idx + 1) % pl_module.parts:
            return
        if self.bar is None:
            self._print(pl_module)
        elif time.monotonic() - self.refreshed >= REFRESH_SECONDS:
            self.refreshed = time.monotonic()
            shown = _shown(pl_module)
            done = pl_module.position.step
            self.bar.update(self.bar.task_ids[0], completed=done, description=shown)

    def _print(self, pl_module: Learner) -> None:
        """Print a line at the end of every few epochs."""
        done, total = pl_module.position.step, pl_module.steps.total
        epoch = pl_module.steps.number_epoch(done)
        every = max(1, self.num_epochs // PLAIN_LINES)
        if not pl_module.steps.ends_epoch(done) or (epoch % every and epoch != self.num_epochs):
            return
        left = (time.monotonic() - self.started) / (done - self.begun_at) * (total - done)
        # It may be written to a disk that is full, which is no reason to stop.
        with suppress(OSError):
            print(
                f"task {pl_module.task}  epoch {epoch}/{self.num_epochs}  "
                f"{_shown(pl_module)}  {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar where training stops before its end."""
        self._close(pl_module)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the bar."""
        self._close(pl_module)

    def _close(self, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Learner)
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=pl_module.position.step)
            self.bar.stop()
            self.bar = None


def _shown(learner: Learner) -> str:
    losses = "  ".join(f"{name} {value:.3f}" for name, value in learner.epochs.means().items())
    return f"{losses}  lr {learner.learning_rate:.1e}{_last_measured(learner.epochs.rows)}"


def _last_measured(rows: Sequence[Mapping[str, float | None]]) -> str:
    """What probes have measured last on the tasks so far."""
    shown = ""
    for probe in list_measured(rows[-1] if rows else ()):
        column = name_measurement(probe, "all")
        known = [value for row in rows if (value := row.get(column)) is not None]
        if known:
            shown += f"  {probe} {known[-1]:.1f} %"
    return shown
