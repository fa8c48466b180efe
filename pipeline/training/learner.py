"""The Lightning module: one task of a method under a strategy."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from pipeline.data.augmentation.augment import Augment
from pipeline.data.augmentation.view_stream import ViewStream
from pipeline.distributed.collectives import gather_rows, mean_over_ranks, world_size
from pipeline.distributed.sync_batchnorm import average_statistics
from pipeline.errors import RunError
from pipeline.files.sealed_json import Json
from pipeline.methods.base import Method, Position
from pipeline.metrics.collapse import COLLAPSED_RANK, COLLAPSED_STD, projection_std, rankme
from pipeline.models.backbone import Backbone
from pipeline.models.loading import require_names
from pipeline.seeding import generator
from pipeline.strategies.base import Step, Strategy
from pipeline.training.optim import Optimisation, build_optimizer
from pipeline.training.schedule import warmup_cosine
from pipeline.training.snapshot import (
    AUGMENT,
    NETWORK,
    OPTIMIZER,
    SUM,
    Snapshot,
    restore_optimizer,
    section,
)

logger = logging.getLogger(__name__)

# Attributes that are no parameters, buffers or modules.
PLAIN = frozenset({"_current_fx_name", "_step", "_summed", "_images_passed"})
REMEDIES = "lower train.learning_rate, raise train.warmup_epochs, or set train.precision: 32-true"


class Learner(pl.LightningModule):
    """Train a method's network on one task.

    Batches are uint8 images ``(N, C, H, W)``; views are made on the device. Of several
    processes each has its rows of them, and after each step all are alike again: parameters and
    buffers, and what is logged, which is of the global batch. So any of them can be saved.

    Args:
        method: the network and its objective.
        strategy: what the past adds; ``begin_task`` has been called.
        augment: makes the views.
        optimisation: how the weights move.
        steps_per_epoch: batches an epoch.
        seed: the run's seed.
        task: the number of the task, from 1.
        parts: in which a step's batch comes, one after another; gradients are their mean.
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
        parts: int = 1,
    ) -> None:
        super().__init__()
        self.method = method
        self.strategy = strategy
        self.augment = augment
        self.optimisation = optimisation
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = steps_per_epoch * optimisation.epochs
        self.task = task
        self.parts = parts
        self.view_stream = ViewStream(augment, generator(seed, "augment", task))
        self.epoch_rows: list[dict[str, float]] = []
        self._steps_before = 0
        self._optimizer_before: dict[str, Tensor] = {}
        self._sums: dict[str, Tensor] = {}
        self._summed = 0
        self._step: Step | None = None
        self._warned = False
        self._images_passed = 0

    def __setattr__(self, name: str, value: Tensor | nn.Module) -> None:
        """Set an attribute: what changes with each step, without asking whether it is a module.

        Lightning notes the hook that it calls here, some fifty times a step.
        """
        if name in PLAIN:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def training_step(self, images: Tensor, index: int) -> Tensor:
        """Return L_SSL plus the strategy's terms for a batch, or a part of one."""
        at = replace(self.position, part=index % self.parts, parts=self.parts)
        views = self.strategy.mix(self.view_stream(images), at)
        views = tuple(view.contiguous(memory_format=torch.channels_last) for view in views)
        encoded = self.method.encode(views)
        self._step = Step(self.method, views, encoded, at)
        terms = {"ssl": self.method.loss(views, encoded), **self.strategy.terms(self._step)}
        loss = torch.stack(list(terms.values())).sum()
        self._note({"loss": loss, **terms})
        return loss

    def _note(self, terms: dict[str, Tensor]) -> None:
        """Add loss terms to the epoch's sums; of several processes their mean."""
        values = list(terms.values())
        if world_size() > 1:
            values = list(mean_over_ranks(torch.stack(values)))
        for name, value in zip(terms, values, strict=True):
            before = self._sums.get(name)
            self._sums[name] = value.detach() + (0.0 if before is None else before)
        self._summed += 1

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
        return self._images_passed * world_size() / views

    @property
    def position(self) -> Position:
        """Where in the task training is, those steps counted that an earlier process took."""
        done = self._steps_before + self.global_step
        return Position(done, self.steps_per_epoch, self.total_steps)

    def on_after_backward(self) -> None:
        """Let the method change gradients."""
        self.method.after_backward(self.position)

    def on_train_batch_end(self, outputs: object, batch: Tensor, batch_idx: int) -> None:
        """Let the method update what no gradient trains; end the epoch after its last step.

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
        # Lightning knows of one epoch alone, the whole task: see pipeline.training.fit.
        if at.step % self.steps_per_epoch == 0:
            self._end_epoch(gather_rows(torch.cat(step.encoded.projections).detach()))

    def _end_epoch(self, projections: Tensor) -> None:
        """Note the epoch's mean of each loss term, the signs of collapse and the rate."""
        self.require_finite()
        if not projections.isfinite().all():
            raise self._not_finite("projections are not finite")
        step = self.position.step
        epoch = {"task": self.task, "epoch": step // self.steps_per_epoch, "step": step}
        signs = {
            "projection_std": projection_std(projections),
            "projection_rank": rankme(projections),
        }
        if signs["projection_std"] < COLLAPSED_STD or signs["projection_rank"] < COLLAPSED_RANK:
            self._warn_of_collapse(signs)
        row = epoch | self.mean_terms() | signs | {"learning_rate": self.learning_rate}
        self.epoch_rows.append(row)
        self._sums, self._summed = {}, 0

    def require_finite(self) -> None:
        """Check the loss terms of the epoch so far.

        Raises:
            RunError: one is not finite.
        """
        for name, value in self.mean_terms().items():
            if not math.isfinite(value):
                raise self._not_finite(f"the loss term '{name}' is {value}")

    def on_train_end(self) -> None:
        """Check what the last step has made of the weights, which no later loss shows.

        Raises:
            RunError: one is not finite.
        """
        self._require_finite_weights(
            {f"{NETWORK}.{name}": tensor for name, tensor in self._network().items()}
        )

    def _require_finite_weights(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise self._not_finite(f"{name} is not finite")

    def _not_finite(self, what: str) -> RunError:
        epoch = (self.position.step - 1) // self.steps_per_epoch + 1
        error = RunError(
            f"task {self.task}, epoch {epoch}: {what}; {REMEDIES}. States of earlier tasks and the "
            "last checkpoint of this one are untouched"
        )
        # What is logged and trained is the same in all processes, so all of them notice.
        error.reported_by_another_rank = self.global_rank > 0
        return error

    def _warn_of_collapse(self, signs: dict[str, float]) -> None:
        """Say once a task that the projections say the same of all images."""
        if not self._warned and self.global_rank == 0:
            logger.warning(
                "task %d, epoch %d: the projections have collapsed (spread %.3f of 1, effective "
                "rank %.1f); lower train.learning_rate or change the options of the method",
                self.task,
                self.position.step // self.steps_per_epoch,
                signs["projection_std"],
                signs["projection_rank"],
            )
        self._warned = True

    def mean_terms(self) -> dict[str, float]:
        """Return the mean of each loss term over the epoch so far."""
        return {name: float(total) / self._summed for name, total in self._sums.items()}

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        rate: float = self.trainer.optimizers[0].param_groups[0]["lr"]
        return rate

    def snapshot(self) -> Snapshot:
        """Return all that the next step depends on, where it is finite.

        Between steps only; the tensors are those in use, not copies.

        Raises:
            RunError: a loss term or a weight is not finite.
        """
        self.require_finite()
        tensors = {f"{NETWORK}.{name}": tensor for name, tensor in self._network().items()}
        self._require_finite_weights(tensors)
        tensors |= {f"{SUM}.{name}": total for name, total in self._sums.items()}
        tensors[AUGMENT] = self.view_stream.state()
        for number, held in self.trainer.optimizers[0].state_dict()["state"].items():
            for name, value in held.items():
                # SGD without momentum has None there.
                if value is not None:
                    assert isinstance(value, Tensor), f"the optimiser holds a {type(value)}"
                    tensors[f"{OPTIMIZER}.{number}.{name}"] = value
        record: Json = {
            "step": self.position.step,
            # JSON objects keep no order, and columns have one.
            "columns": list(self.epoch_rows[0]) if self.epoch_rows else [],
            "rows": [list(row.values()) for row in self.epoch_rows],
            "terms": list(self._sums),
            "summed": self._summed,
            "warned": self._warned,
            "images_passed": self._images_passed,
        }
        return Snapshot(tensors, record)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot; before training begins.

        Raises:
            ValueError: it is of another network.
        """
        network = self._network()
        held = section(snapshot.tensors, NETWORK)
        require_names(held, network)
        with torch.no_grad():
            for name, tensor in network.items():
                if tensor.shape != held[name].shape:
                    raise ValueError(f"{name} is {tuple(held[name].shape)}")
                tensor.copy_(held[name])
        self._optimizer_before = section(snapshot.tensors, OPTIMIZER)
        self.view_stream.resume(snapshot.tensors[AUGMENT])
        record = snapshot.record
        self._steps_before = cast(int, record["step"])
        columns = cast(list[str], record["columns"])
        rows = cast(list[list[float]], record["rows"])
        self.epoch_rows = [dict(zip(columns, row, strict=True)) for row in rows]
        sums = section(snapshot.tensors, SUM)
        self._sums = {name: sums[name] for name in cast(list[str], record["terms"])}
        self._summed = cast(int, record["summed"])
        self._warned = cast(bool, record["warned"])
        self._images_passed = cast(int, record["images_passed"])

    def _network(self) -> dict[str, Tensor]:
        """Return all parameters and buffers, those too that cross no task boundary."""
        return dict(self.named_parameters()) | dict(self.named_buffers())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimiser with warm-up and cosine, stepped every batch."""
        optimizer = build_optimizer([self.method, self.strategy], self.optimisation)
        warmup = round(self.optimisation.warmup_epochs * self.steps_per_epoch)

        peak = self.optimisation.learning_rate
        start = self.optimisation.warmup_start / peak
        final = self.optimisation.final_learning_rate / peak

        def share_of_peak(step: int) -> float:
            return warmup_cosine(step, warmup, self.total_steps, start, final)

        before = self._steps_before
        if self._optimizer_before:
            restore_optimizer(optimizer, self._optimizer_before)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: share_of_peak(before + step)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
