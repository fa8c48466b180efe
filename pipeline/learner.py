"""The Lightning module: one task of a method under a strategy."""

from __future__ import annotations

import logging
import math

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from pipeline.collapse import COLLAPSED_RANK, COLLAPSED_STD, projection_std, rankme
from pipeline.data.augment import Augment
from pipeline.errors import RunError
from pipeline.methods.base import Method, Position
from pipeline.models.backbone import Backbone
from pipeline.optim import Optimisation, build_optimizer, warmup_cosine
from pipeline.seeding import generator
from pipeline.strategies.base import Step, Strategy

logger = logging.getLogger(__name__)

REMEDIES = "lower train.learning_rate, raise train.warmup_epochs, or set train.precision: 32-true"


class Learner(pl.LightningModule):
    """Train a method's network on one task.

    Batches are uint8 images ``(N, C, H, W)``; views are made on the device.

    Args:
        method: the network and its objective.
        strategy: what the past adds; ``begin_task`` has been called.
        augment: makes the views.
        optimisation: how the weights move.
        steps_per_epoch: batches an epoch.
        seed: the run's seed.
        task: the number of the task, from 1.
    """

    def __init__(
        self,
        method: Method,
        strategy: Strategy,
        augment: Augment,
        optimisation: Optimisation,
        steps_per_epoch: int,
        seed: int,
        task: int,
    ) -> None:
        super().__init__()
        self.method = method
        self.strategy = strategy
        self.augment = augment
        self.optimisation = optimisation
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = steps_per_epoch * optimisation.epochs
        self.task = task
        self.augment_generator = generator(seed, "augment", task)
        self.epoch_rows: list[dict[str, float]] = []
        self._sums: dict[str, Tensor] = {}
        self._step: Step | None = None
        self._projections: Tensor | None = None
        self._warned = False
        self._images_passed = 0

    def training_step(self, images: Tensor, index: int) -> Tensor:
        """Return L_SSL plus the strategy's terms for a batch."""
        at = self._position()
        views = self.strategy.mix(self.augment(images, self.augment_generator), at)
        views = tuple(view.contiguous(memory_format=torch.channels_last) for view in views)
        encoded = self.method.encode(views)
        self._step = Step(self.method, views, encoded, at)
        terms = {"ssl": self.method.loss(views, encoded), **self.strategy.terms(self._step)}
        loss = torch.stack(list(terms.values())).sum()
        for name, value in {"loss": loss, **terms}.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value.detach()
        return loss

    def on_fit_start(self) -> None:
        """Count the images that pass through a backbone, whichever and why ever."""

        def count(backbone: nn.Module, inputs: tuple[Tensor], features: Tensor) -> None:
            self._images_passed += len(inputs[0])

        for module in self.modules():
            if isinstance(module, Backbone):
                module.register_forward_hook(count)

    def forward_passes(self, batch_size: int) -> float:
        """Return the passes through a backbone for each view of each image of a batch."""
        views = self.total_steps * batch_size * len(self.augment.recipes)
        return self._images_passed / views

    def _position(self) -> Position:
        return Position(self.global_step, self.steps_per_epoch, self.total_steps)

    def on_after_backward(self) -> None:
        """Let the method change gradients."""
        self.method.after_backward(self._position())

    def on_train_batch_end(self, outputs: object, batch: Tensor, batch_idx: int) -> None:
        """Let the method update what no gradient trains."""
        assert self._step is not None, "a batch ended that never began"
        self.method.after_step(self._position())
        self._projections = torch.cat(self._step.encoded.projections).detach()
        self._step = None

    def on_train_epoch_end(self) -> None:
        """Note the epoch's mean of each loss term, the signs of collapse and the rate.

        Raises:
            RunError: a term is not finite.
        """
        row = {name: float(total) / self.steps_per_epoch for name, total in self._sums.items()}
        for name, value in row.items():
            if not math.isfinite(value):
                raise RunError(
                    f"task {self.task}, epoch {self.current_epoch + 1}: the loss term '{name}' is "
                    f"{value}; {REMEDIES}. States of earlier tasks are untouched"
                )
        epoch = {"task": self.task, "epoch": self.current_epoch + 1, "step": self.global_step}
        assert self._projections is not None, "an epoch ended that had no step"
        if not self._projections.isfinite().all():
            raise RunError(
                f"task {self.task}, epoch {self.current_epoch + 1}: projections are not finite; "
                f"{REMEDIES}. States of earlier tasks are untouched"
            )
        signs = {
            "projection_std": projection_std(self._projections),
            "projection_rank": rankme(self._projections),
        }
        if signs["projection_std"] < COLLAPSED_STD or signs["projection_rank"] < COLLAPSED_RANK:
            self._warn_of_collapse(signs)
        self.epoch_rows.append(epoch | row | signs | {"learning_rate": self.learning_rate})
        self._sums = {}

    def _warn_of_collapse(self, signs: dict[str, float]) -> None:
        """Say once a task that the projections say the same of all images."""
        if not self._warned:
            logger.warning(
                "task %d, epoch %d: the projections have collapsed (spread %.3f of 1, effective "
                "rank %.1f); lower train.learning_rate or change the options of the method",
                self.task,
                self.current_epoch + 1,
                signs["projection_std"],
                signs["projection_rank"],
            )
        self._warned = True

    def mean_terms(self) -> dict[str, float]:
        """Return the mean of each loss term over the epoch so far."""
        done = max(1, self.global_step - self.current_epoch * self.steps_per_epoch)
        return {name: float(total) / done for name, total in self._sums.items()}

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        rate: float = self.trainer.optimizers[0].param_groups[0]["lr"]
        return rate

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimiser with warm-up and cosine, stepped every batch."""
        optimizer = build_optimizer([self.method, self.strategy], self.optimisation)
        warmup = round(self.optimisation.warmup_epochs * self.steps_per_epoch)

        peak = self.optimisation.learning_rate
        start = self.optimisation.warmup_start / peak
        final = self.optimisation.final_learning_rate / peak

        def share_of_peak(step: int) -> float:
            return warmup_cosine(step, warmup, self.total_steps, start, final)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share_of_peak)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
