"""One progress bar a task, or a plain line now and then where there is no terminal."""

from __future__ import annotations

import sys
import time

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from pipeline.learner import Learner

REFRESH_SECONDS = 0.5
PLAIN_LINES = 5  # a task


class TaskProgress(pl.Callback):
    """Show the named loss terms, the learning rate and the time left."""

    def __init__(self, num_epochs: int) -> None:
        self.num_epochs = num_epochs
        self.bar: Progress | None = None
        self.started = 0.0
        self.refreshed = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        assert isinstance(pl_module, Learner)
        self.started = time.monotonic()
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
            self.bar.add_task("", total=pl_module.total_steps, task=pl_module.task)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: Tensor,
        batch_idx: int,
    ) -> None:
        """Move the bar on; read the losses at most twice a second, for reading waits."""
        if self.bar is None or time.monotonic() - self.refreshed < REFRESH_SECONDS:
            return
        assert isinstance(pl_module, Learner)
        self.refreshed = time.monotonic()
        shown = _shown(pl_module.mean_terms(), pl_module.learning_rate)
        self.bar.update(self.bar.task_ids[0], completed=trainer.global_step, description=shown)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Without a terminal: print a line every few epochs."""
        assert isinstance(pl_module, Learner)
        epoch = trainer.current_epoch + 1
        every = max(1, self.num_epochs // PLAIN_LINES)
        if self.bar is not None or (epoch % every and epoch != self.num_epochs):
            return
        left = (time.monotonic() - self.started) / epoch * (self.num_epochs - epoch)
        print(
            f"task {pl_module.task}  epoch {epoch}/{self.num_epochs}  "
            f"{_shown(pl_module.mean_terms(), pl_module.learning_rate)}  {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the bar, whatever ended the training."""
        if self.bar is not None:
            if trainer.global_step:
                self.bar.update(self.bar.task_ids[0], completed=trainer.global_step)
            self.bar.stop()
            self.bar = None


def _shown(terms: dict[str, float], learning_rate: float) -> str:
    losses = "  ".join(f"{name} {value:.3f}" for name, value in terms.items())
    return f"{losses}  lr {learning_rate:.1e}"
