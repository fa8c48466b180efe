"""The Lightning module: one task of a method under a strategy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from pipeline.data.augmentation.augment import Augment
from pipeline.data.augmentation.view_stream import ViewStream
from pipeline.distributed.collectives import gather_rows, world_size
from pipeline.distributed.sync_batchnorm import average_statistics
from pipeline.methods.base import Method, Position
from pipeline.models.backbone import Backbone
from pipeline.seeding import generator
from pipeline.strategies.base import OBJECTIVE, Step, Strategy
from pipeline.training.epoch_log import EpochLog
from pipeline.training.online import OnlineTrainer
from pipeline.training.optim import (
    Optimization,
    build_optimizer,
    hold_optimizer,
    restore_optimizer,
    schedule_rate,
)
from pipeline.training.passed_images import PassedImages
from pipeline.training.task_steps import TaskSteps


class EpochProbes(Protocol):
    """What measures the network when an epoch ends; see ``pipeline.training.probing``."""

    def measure(self, backbone: Backbone, epoch: int) -> dict[str, float | None]:
        """Return what was measured by name, None where nothing was; the network stays as it is.

        Args:
            backbone: the network in training.
            epoch: the number of the epoch, from 1.
        """


class Learner(pl.LightningModule):
    """Train a method's network on one task.

    Batches are uint8 images ``(N, C, H, W)``; views are made on the device. Of several
    processes each has its rows of them, and after each step all are alike again: parameters and
    buffers, and what is logged, which is of the global batch. So any of them can be saved.

    Args:
        method: the network and its objective.
        strategy: what the past adds; ``begin_task`` has been called.
        augment: makes the views.
        optimization: how the weights move.
        steps: of the task.
        seed: the run's seed.
        task: the number of the task, from 1.
        parts: in which a step's batch comes, one after another; gradients are their mean.

    Attributes:
        epochs: the metrics of each epoch.
        passed: images that have passed through a backbone.
        steps_before: steps that earlier processes took.
        optimizer_before: what their optimizer held, see ``restore_optimizer``; empty: nothing.
        online: trains the online classifier, in one of the processes; None: there is none.
        probing: measures the network when an epoch ends, likewise.
    """

    def __init__(
        self,
        method: Method,
        strategy: Strategy,
        augment: Augment,
        optimization: Optimization,
        steps: TaskSteps,
        seed: int,
        task: int,
        parts: int = 1,
    ) -> None:
        super().__init__()
        self.method = method
        self.strategy = strategy
        self.augment = augment
        self.optimization = optimization
        self.steps = steps
        self.task = task
        self.parts = parts
        self.view_stream = ViewStream(augment, generator(seed, "augment", task))
        self.epochs = EpochLog(task, steps.per_epoch)
        self.passed = PassedImages()
        self.steps_before = 0
        self.optimizer_before: Mapping[str, Tensor] = {}
        self.online: OnlineTrainer | None = None
        self.probing: EpochProbes | None = None
        self._step: Step | None = None
        self._optimizer: torch.optim.Optimizer | None = None
        self._with_objective = True

    def training_step(self, images: Tensor, index: int) -> Tensor:
        """Return the objective plus the strategy's terms for a batch, or a part of one."""
        at = replace(self.position, part=index % self.parts, parts=self.parts)
        if at.phase and at.step == at.phase_start and at.part == 0:
            self._begin_phase(at)
        self._switch_backbone(at)
        self.strategy.observe(images, at)
        views = self.strategy.mix(self.view_stream(images), at)
        views = tuple(view.contiguous(memory_format=torch.channels_last) for view in views)
        encoded = self.method.encode(views)
        self._step = Step(self.method, views, encoded, at)
        losses = self.strategy.losses(self._step)
        self._with_objective = OBJECTIVE in losses
        loss = torch.stack(list(losses.values())).sum()
        self.epochs.add({"loss": loss, **losses})
        return loss

    def on_fit_start(self) -> None:
        """Begin to count the images that pass through a backbone."""
        self.epochs.prints = self.global_rank == 0

        self.passed.watch(self, self.strategy)

    def _begin_phase(self, at: Position) -> None:
        """Tell the strategy that a phase begins; the optimizer forgets the phase before."""
        with torch.no_grad():
            self.strategy.begin_phase(self.method, at.phase)
        assert self._optimizer is not None, "training has begun"
        self._optimizer.state.clear()

    def _switch_backbone(self, at: Position) -> None:
        """Put the backbone, and momentum copies of it, in eval mode while the head warms up."""
        if self.optimization.head_warmup_epochs:
            for module in self.method.modules():
                if isinstance(module, Backbone):
                    module.train(not self._warms_up(at))

    def _warms_up(self, at: Position) -> bool:
        return at.phase == 0 and at.epoch < self.optimization.head_warmup_epochs

    def hold_optimizer(self) -> dict[str, Tensor]:
        """Return what the optimizer holds after the last step, as ``restore_optimizer`` takes it.

        Where an earlier process took the last step, that is what it saved.
        """
        if self._optimizer is None:
            return dict(self.optimizer_before)
        return hold_optimizer(self._optimizer)

    @property
    def position(self) -> Position:
        """Where in the task training is, those steps counted that an earlier process took."""
        done = self.steps_before + self.global_step
        return self.steps.locate(done)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        rate: float = self.trainer.optimizers[0].param_groups[0]["lr"]
        return rate

    def on_after_backward(self) -> None:
        """Call the method, which may change gradients; the backbone has none in the warm-up.

        A method whose loss is not asked for is not called.
        """
        at = self.position
        if self._warms_up(at):
            for parameter in self.method.backbone.parameters():
                parameter.grad = None
        if self._with_objective:
            self.method.after_backward(at)

    def on_train_batch_end(self, outputs: object, batch: Tensor, batch_idx: int) -> None:
        """Update momentum networks and queues; close the epoch after its last step.

        Nothing is done before the step's last part.

        Raises:
            RunError: the epoch had a loss term, or its last projections, that are not finite.
        """
        assert self._step is not None, "a batch ended that never began"
        step, self._step = self._step, None
        if (batch_idx + 1) % self.parts:
            return
        done = self.position.step
        # Of the phase that the step was in, also where that was its last.
        at = replace(self.steps.locate(done - 1), step=done)
        if self._with_objective:
            self.method.after_step(at)
        if world_size() > 1:
            average_statistics(self)
        with torch.no_grad():
            self.strategy.after_step(self.method, at)
        if self.online is not None:
            self.online.step(self.method.backbone, at)
        # Lightning knows of one epoch alone, the whole task: see pipeline.training.fit.
        if self.steps.ends_epoch(at.step):
            projections = gather_rows(torch.cat(step.encoded.projections).detach())
            self.epochs.end_epoch(at.step, projections, self.learning_rate)
            if self.probing is not None:
                epoch = self.steps.number_epoch(at.step)
                self.epochs.rows[-1] |= self.probing.measure(self.method.backbone, epoch)

    def on_train_end(self) -> None:
        """Check what the last step has made of the weights, which no later loss shows.

        Raises:
            RunError: one is not finite.
        """
        self.epochs.require_finite_tensors(self.position.step, self.network())

    def network(self) -> dict[str, Tensor]:
        """Return all parameters and buffers by name, those too that cross no task boundary."""
        held = dict(self.named_parameters()) | dict(self.named_buffers())
        return {f"network.{name}": tensor for name, tensor in held.items()}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer with warm-up and cosine, stepped every batch."""
        optimizer = build_optimizer(
            [self.method, self.strategy],
            self.optimization,
            self.method.parameters_at_constant_rate(),
            self.method.backbone,
        )
        share_of_peak = schedule_rate(self.optimization, self.steps)
        self._optimizer = optimizer
        before = self.steps_before
        if self.optimizer_before:
            restore_optimizer(optimizer, self.optimizer_before)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            [
                (lambda step: 1.0)
                if group.get("constant_rate")
                else (lambda step: share_of_peak(before + step))
                for group in optimizer.param_groups
            ],
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
