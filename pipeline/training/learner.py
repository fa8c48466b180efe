"""The Lightning module: one task of a method under a strategy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from pipeline.data.augmentation.augment import Augment
from pipeline.data.augmentation.view_stream import ViewStream
from pipeline.distributed.collectives import gather_rows, world_size
from pipeline.distributed.sync_batchnorm import average_statistics
from pipeline.methods.base import Method, Position
from pipeline.models.backbone import Backbone
from pipeline.seeding import generator
from pipeline.strategies.base import Step, Strategy
from pipeline.training.epoch_log import EpochLog
from pipeline.training.online import OnlineTrainer
from pipeline.training.optim import (
    Optimization,
    build_optimizer,
    restore_optimizer,
    schedule_rate,
)


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
        steps_per_epoch: batches an epoch.
        seed: the run's seed.
        task: the number of the task, from 1.
        parts: in which a step's batch comes, one after another; gradients are their mean.

    Attributes:
        epochs: the metrics of each epoch.
        images_passed: images that have passed through a backbone: the student's, a teacher's or
            a momentum network's.
        teacher_passed: those of them that passed through the strategy's own.
        steps_before: steps that earlier processes took.
        optimizer_before: what their optimizer held, see ``restore_optimizer``; empty: nothing.
        online: trains the online classifier, in one of the processes; None: there is none.
    """

    def __init__(
        self,
        method: Method,
        strategy: Strategy,
        augment: Augment,
        optimization: Optimization,
        steps_per_epoch: int,
        seed: int,
        task: int,
        parts: int = 1,
    ) -> None:
        super().__init__()
        self.method = method
        self.strategy = strategy
        self.augment = augment
        self.optimization = optimization
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = steps_per_epoch * optimization.epochs
        self.task = task
        self.parts = parts
        self.view_stream = ViewStream(augment, generator(seed, "augment", task))
        self.epochs = EpochLog(task, steps_per_epoch)
        self.images_passed = 0
        self.teacher_passed = 0
        self.steps_before = 0
        self.optimizer_before: Mapping[str, Tensor] = {}
        self.online: OnlineTrainer | None = None
        self._step: Step | None = None

    def training_step(self, images: Tensor, index: int) -> Tensor:
        """Return L_SSL plus the strategy's terms for a batch, or a part of one."""
        at = replace(self.position, part=index % self.parts, parts=self.parts)
        self._switch_backbone(at)
        views = self.strategy.mix(self.view_stream(images), at)
        views = tuple(view.contiguous(memory_format=torch.channels_last) for view in views)
        encoded = self.method.encode(views)
        self._step = Step(self.method, views, encoded, at)
        terms = {"ssl": self.method.loss(views, encoded), **self.strategy.terms(self._step)}
        loss = torch.stack(list(terms.values())).sum()
        self.epochs.add({"loss": loss, **terms})
        return loss

    def on_fit_start(self) -> None:
        """Begin to count the images that pass through a backbone."""
        self.epochs.prints = self.global_rank == 0

        teachers = set(self.strategy.modules())

        def count(backbone: nn.Module, inputs: tuple[Tensor], features: Tensor) -> None:
            self.images_passed += len(inputs[0])
            self.teacher_passed += len(inputs[0]) if backbone in teachers else 0

        for module in self.modules():
            if isinstance(module, Backbone):
                module.register_forward_hook(count)

    def _switch_backbone(self, at: Position) -> None:
        """Put the backbone, and momentum copies of it, in eval mode while the head warms up."""
        if self.optimization.head_warmup_epochs:
            for module in self.method.modules():
                if isinstance(module, Backbone):
                    module.train(not self._warms_up(at))

    def _warms_up(self, at: Position) -> bool:
        return at.epoch < self.optimization.head_warmup_epochs

    def forward_passes(self, images: int, batch_size: int) -> float:
        """Return the passes through a backbone for each view of each image of a batch.

        Args:
            images: that have passed in this process.
            batch_size: images of a step.
        """
        views = self.total_steps * batch_size * len(self.augment.recipes)
        return images * world_size() / views

    @property
    def position(self) -> Position:
        """Where in the task training is, those steps counted that an earlier process took."""
        done = self.steps_before + self.global_step
        return Position(done, self.steps_per_epoch, self.total_steps)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        rate: float = self.trainer.optimizers[0].param_groups[0]["lr"]
        return rate

    def on_after_backward(self) -> None:
        """Call the method, which may change gradients; the backbone has none in the warm-up."""
        at = self.position
        if self._warms_up(at):
            for parameter in self.method.backbone.parameters():
                parameter.grad = None
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
        at = self.position
        self.method.after_step(at)
        if world_size() > 1:
            average_statistics(self)
        if self.online is not None:
            self.online.step(self.method.backbone, at)
        # Lightning knows of one epoch alone, the whole task: see pipeline.training.fit.
        if at.step % self.steps_per_epoch == 0:
            projections = gather_rows(torch.cat(step.encoded.projections).detach())
            self.epochs.end_epoch(at.step, projections, self.learning_rate)

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
        share_of_peak = schedule_rate(self.optimization, self.steps_per_epoch, self.total_steps)
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
