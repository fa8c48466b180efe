"""The time of a training's steps here, on images that only stand in for its own."""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.building.stand_in import begin_stand_in, lay_out
from pipeline.building.training import build_optimization
from pipeline.building.views import build_augment
from pipeline.data.batches import Images, TaskOrder, training_batches
from pipeline.data.source import Bytes
from pipeline.distributed.group import Group
from pipeline.distributed.processes import Processes
from pipeline.errors import InterruptedRunError, RunError
from pipeline.runtime.arithmetic import Precision, choose_precision
from pipeline.runtime.device import Device
from pipeline.runtime.elapsed import Elapsed
from pipeline.runtime.machine import read_peak_memory
from pipeline.runtime.shortages import explain_out_of_memory
from pipeline.training.callbacks.checkpoint import Checkpointing
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.fit import fit, make_deterministic
from pipeline.training.learner import Learner
from pipeline.training.task_steps import TaskSteps


@dataclass(frozen=True)
class StepTime:
    """The time of a step of a training.

    Attributes:
        seconds: of a step, the mean over those that counted.
        peak_mib: the peak memory in MiB: of a GPU's tensors, else of the process.
        precision: Lightning's name of it.
    """

    seconds: float
    peak_mib: float
    precision: Precision


@dataclass(frozen=True)
class RepeatedImages:
    """A few images that stand in for many: they repeat.

    Attributes:
        held: uint8 ``(K, C, H, W)``.
        count: how many there seem to be.
    """

    held: Bytes
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, places: NDArray[np.int64]) -> Bytes:
        """Return the images at ``places`` ``(B,)``, uint8 ``(B, C, H, W)``."""
        return self.held[places % len(self.held)]

    def reader(self) -> RepeatedImages:
        """Return these images, which are in memory."""
        return self

    def workers(self) -> int:
        """Return 0: this process reads them."""
        return 0


class Timing(pl.Callback):
    """Note when steps begin.

    Args:
        warm_up: steps that do not count.
        steps: that count, after those.
        device: waited for where the first step that counts begins, and where the last one ended.

    Attributes:
        began: the time at which each step that counts began, and the one after them.
    """

    def __init__(self, warm_up: int, steps: int, device: Device) -> None:
        self.marks = (warm_up, warm_up + steps)
        self.device = device
        self.began: list[float] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let no checkpoint fall due."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Checkpointing):
                callback.due = math.inf

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Tensor, batch_idx: int
    ) -> None:
        """Note the time where the counting begins and ends; parts of a step are one."""
        assert isinstance(pl_module, Learner)
        step, part = divmod(batch_idx, pl_module.parts)
        if part == 0 and step in self.marks:
            if self.device is Device.cuda:
                torch.cuda.synchronize()
            elif self.device is Device.mps:
                torch.mps.synchronize()
            self.began.append(time.perf_counter())


def time_steps(plan: TrainPlan, count: int, steps: int, warm_up: int, device: Device) -> StepTime:
    """Take the last steps of a task's training, from a new network on, and time them.

    At its end prototypes are trained, and the small rate keeps a network finite that has learnt
    nothing. A queue begins empty, so SwAV does without it for ``queue_size / batch_size`` steps. A
    step is all that training does from one batch to the next: reading from memory, augmentation,
    both passes, the optimizer. No epoch ends in between where one has more steps than are taken,
    and nothing is saved.

    Args:
        plan: of the training; task 1's, or a later task's, whose strategy acts.
        count: images of the task.
        steps: that count.
        warm_up: steps before those.
        device: where to train.

    Raises:
        RunError: there is too little memory, the task has fewer steps, or a signal came.
    """
    training, parts = plan.train, plan.train.accumulate_grad_batches
    batch_size = training.batch_size
    order = TaskOrder(count, batch_size, training.epochs, plan.seed, plan.task, parts)
    # One more ends the last step that counts, and the last step of all would end an epoch.
    order.total_steps -= 1
    order.start = order.total_steps - (warm_up + steps + 1)
    if order.start < 0:
        raise RunError(
            f"--steps: task {plan.task} has {order.total_steps + 1} steps, too few for {steps} "
            f"after {warm_up}; take fewer"
        )
    timing = Timing(warm_up, steps, device)
    with (
        explain_out_of_memory(f"task {plan.task}", suggest_smaller(batch_size, parts)),
        tempfile.TemporaryDirectory() as folder,
    ):
        held = make_images(plan.dataset, batch_size)
        augment = build_augment(plan.dataset, plan.views)
        make_deterministic(device)
        method, strategy = begin_stand_in(
            plan, torch.from_numpy(held), augment, batch_size // parts, str(device), "cost"
        )
        precision = choose_precision(training.precision, device, method.backbone)
        learner = Learner(
            method,
            strategy,
            augment,
            build_optimization(training),
            TaskSteps([order.steps_per_epoch * training.epochs], order.steps_per_epoch),
            plan.seed,
            plan.task,
            parts,
        )
        learner.steps_before = order.start
        loader = training_batches(
            Images(RepeatedImages(held, count)), order, pin=device is Device.cuda
        )
        alone, checkpoint = Group(Processes(), device), Checkpoint(Path(folder), plan.task, "", "")
        try:
            fit(
                learner,
                loader,
                device,
                precision,
                checkpoint,
                Elapsed(),
                alone,
                num_nodes=1,
                observers=[timing],
                show_progress=False,
            )
        except InterruptedRunError:
            raise RunError("stopped: nothing is kept of a measurement") from None
    first, last = timing.began
    return StepTime((last - first) / steps, read_peak_memory(device), precision)


def make_images(dataset: DatasetPlan, count: int) -> Bytes:
    """Return random images of a data set's format, as training reads them.

    Args:
        dataset: whose.
        count: how many, K.

    Returns:
        uint8 ``(K, C, H, W)``.
    """
    side = dataset.image_size if dataset.files is None else dataset.files.resize
    shape = (count, dataset.channels, side, side)
    squares = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return lay_out(dataset, torch.from_numpy(squares)).numpy()


def suggest_smaller(batch_size: int, parts: int) -> str:
    """Return what helps where a batch does not fit into the memory."""
    return (
        f"this machine is too small for {batch_size // parts} images at once: set "
        f"train.accumulate_grad_batches to {2 * parts} in params.yaml (a loss then sees that part "
        "of a batch), share the batch among more train.devices, or take a larger machine"
    )
