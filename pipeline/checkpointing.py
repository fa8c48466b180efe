"""Save training now and then, and when it is asked to stop."""

from __future__ import annotations

import os
import time
from typing import NoReturn

import pytorch_lightning as pl
from torch import Tensor

from pipeline.checkpoint import Checkpoint, Snapshot
from pipeline.errors import InterruptedRunError, RunError
from pipeline.interruption import StopRequest
from pipeline.learner import Learner

VARIABLE = "CASSLE_CHECKPOINT_SECONDS"
SECONDS = 30.0  # at most this much work is lost
SHARE = 0.02  # of the time, at most, goes into saving


class Checkpointing(pl.Callback):
    """Save between two steps: when it is due, and before stopping on a signal.

    Args:
        checkpoint: where to.
        stop: whether training was asked to stop.
        seconds: that training took before this process.

    Raises:
        RunError: CASSLE_CHECKPOINT_SECONDS is no number of seconds.
    """

    def __init__(self, checkpoint: Checkpoint, stop: StopRequest, seconds: float) -> None:
        self.checkpoint = checkpoint
        self.stop = stop
        self.every = _every()
        self.started = time.monotonic() - seconds
        self.due = time.monotonic() + self.every
        self.saved_step = 0

    def seconds(self) -> float:
        """Return how long the task has been trained, by whichever process."""
        return time.monotonic() - self.started

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals back from Lightning, which would stop in the middle of a step."""
        assert isinstance(pl_module, Learner)
        self.saved_step = pl_module.position.step
        self.stop.listen()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Tensor, batch_idx: int
    ) -> None:
        """Save or stop where that is asked for.

        Raises:
            InterruptedRunError: training was asked to stop, and is saved.
            RunError: the checkpoint cannot be written, or there is nothing finite to save.
        """
        assert isinstance(pl_module, Learner)
        if self.stop.received is not None:
            self.save_and_stop(pl_module)
        if time.monotonic() >= self.due and pl_module.position.step > self.saved_step:
            self._save(pl_module)

    def save_and_stop(self, learner: Learner) -> NoReturn:
        """Save and raise InterruptedRunError."""
        assert self.stop.received is not None, "nobody asked to stop"
        self._save(learner)
        at = learner.position
        raise InterruptedRunError(
            f"stopped: task {learner.task} is saved after step {at.step} of {at.total_steps}; "
            "the same command goes on from there",
            self.stop.received,
        )

    def _save(self, learner: Learner) -> None:
        began = time.monotonic()
        snapshot = learner.snapshot()
        record = {**snapshot.record, "seconds": self.seconds()}
        self.checkpoint.store(Snapshot(snapshot.tensors, record))
        self.saved_step = learner.position.step
        ended = time.monotonic()
        # 0 means after every step, whatever that costs.
        self.due = ended + max(self.every, (ended - began) / SHARE if self.every else 0)


def _every() -> float:
    """Return the seconds between two checkpoints."""
    given = os.environ.get(VARIABLE, str(SECONDS))
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise RunError(f"{VARIABLE} is {given!r}, expected seconds, 0 or more; unset or change it")
    return seconds
