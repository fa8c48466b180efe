"""Save training now and then, and when it is asked to stop."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from typing import NoReturn

import pytorch_lightning as pl
from torch import Tensor

from pipeline.distributed.group import Group
from pipeline.errors import InterruptedRunError, RunError
from pipeline.runtime.elapsed import Elapsed, Stopwatch
from pipeline.runtime.signals import StopRequest
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.learner import Learner
from pipeline.training.snapshot import Snapshot, take_snapshot

VARIABLE = "CASSLE_CHECKPOINT_SECONDS"
SECONDS = 30.0  # at most this much work is lost
SHARE = 0.02  # of the time, at most, goes into saving


class Checkpointing(pl.Callback):
    """Save between two steps: when it is due, and before stopping on a signal.

    Several processes stop after the same step, whichever was asked to; the first one saves.

    Args:
        checkpoint: where to.
        group: the processes.
        stop: whether training was asked to stop.
        before: what training took before this process.

    Raises:
        RunError: CASSLE_CHECKPOINT_SECONDS is no number of seconds.
    """

    def __init__(
        self, checkpoint: Checkpoint, group: Group, stop: StopRequest, before: Elapsed
    ) -> None:
        self.checkpoint = checkpoint
        self.group = group
        self.stop = stop
        self.every = _every()
        self.stopwatch = Stopwatch(before)
        self.due = time.monotonic() + self.every
        self.saved_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take SIGTERM back from Lightning, which has no option to leave it alone.

        Its handler, in the way from just before here, would leave training with SystemExit and
        without a checkpoint; and in a training of several processes it waits, wherever in a step
        the signal comes, for the others to enter a broadcast.
        """
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
        if batch_idx % pl_module.parts:
            return
        first = self.group.processes.first
        due = time.monotonic() >= self.due and pl_module.position.step > self.saved_step
        signal_number, save = self.group.max_over_ranks(self.stop.received or 0, int(due and first))
        if signal_number:
            self._save_and_stop(pl_module, signal_number)
        if save:
            self._save(pl_module)

    def stop_if_asked(self, learner: Learner) -> None:
        """Save and stop where a process was asked to in the last step.

        Raises:
            InterruptedRunError: one was.
        """
        (signal_number,) = self.group.max_over_ranks(self.stop.received or 0)
        if signal_number:
            self._save_and_stop(learner, signal_number)

    def _save_and_stop(self, learner: Learner, signal_number: int) -> NoReturn:
        self._save(learner)
        at = learner.position
        error = InterruptedRunError(
            f"stopped: task {learner.task} is saved after step {at.step} of {learner.steps.total}; "
            "the same command goes on from there",
            signal_number,
        )
        raise self.group.mark_reported(error)

    def _save(self, learner: Learner) -> None:
        began = time.monotonic()
        snapshot = take_snapshot(learner)
        record = {**snapshot.record, **asdict(self.stopwatch.read())}
        if self.group.processes.first:
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
