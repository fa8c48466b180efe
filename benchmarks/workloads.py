"""A task's training as the plan describes it, on images that are at hand."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.building.data import open_source
from pipeline.building.stand_in import begin_stand_in, lay_out, sum_losses
from pipeline.building.training import build_optimization
from pipeline.building.views import build_augment
from pipeline.data.augmentation.augment import Augment
from pipeline.methods.base import Method, Position, Views
from pipeline.runtime.arithmetic import Precision, choose_precision
from pipeline.runtime.device import Device
from pipeline.seeding import generator
from pipeline.strategies.base import Step, Strategy
from pipeline.training.optim import Optimization, build_optimizer

EMBEDDED = 2000  # of the images that come with the project, a task's worth


@dataclass
class Workload:
    """A network, its strategy and its images.

    Attributes:
        method: the network.
        strategy: has looked back at the network as it is.
        augment: makes the views.
        optimization: how the weights move.
        images: uint8 ``(N, C, H, W)``.
        batch_size: images a step.
        device: where it runs.
        precision: Lightning's name of it.
    """

    method: Method
    strategy: Strategy
    augment: Augment
    optimization: Optimization
    images: Tensor
    batch_size: int
    device: str
    precision: Precision

    def bare(self) -> BareStep:
        """Return the arithmetic of a step alone, on a copy of the network."""
        return BareStep(copy.deepcopy(self))


class BareStep:
    """Forward pass, loss, backward pass and optimiser on views that are already in place.

    Args:
        load: what to compute; its networks are trained by it.
    """

    def __init__(self, load: Workload) -> None:
        self.method = load.method.to(load.device).train()
        self.strategy = load.strategy.to(load.device).train()
        self.optimizer = build_optimizer([self.method, self.strategy], load.optimization)
        images = load.images[: load.batch_size].to(load.device)
        at = Position(0, 1, 1)
        self.strategy.observe(images, at)
        views = self.strategy.mix(load.augment(images, generator(0, "benchmark")), at)
        self.views: Views = tuple(v.contiguous(memory_format=torch.channels_last) for v in views)
        self.at = at
        self.autocast = torch.autocast(
            torch.device(load.device).type, torch.bfloat16, enabled=load.precision == "bf16-mixed"
        )

    def __call__(self) -> None:
        """Take one step."""
        with self.autocast:
            encoded = self.method.encode(self.views)
            loss = sum_losses(self.strategy, Step(self.method, self.views, encoded, self.at))
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.method.after_step(self.at)


def build(plan: TrainPlan, at_hand: DatasetPlan, device: str) -> Workload:
    """The training of task 2 of a stream.

    The images are the embedded ones, brought to the plan's size and channels: what they show
    costs nothing.

    Args:
        plan: of the training.
        at_hand: the data set whose images are here.
        device: where it runs.
    """
    images, augment = _images(plan.dataset, at_hand), build_augment(plan.dataset, plan.views)
    training = plan.train
    batch_size = training.batch_size
    method, strategy = begin_stand_in(plan, images, augment, batch_size, device, "benchmark")
    # No warm-up: the schedule costs nothing, and its length is the benchmark's own.
    optimization = replace(build_optimization(training), warmup_epochs=0.0)
    precision = choose_precision(training.precision, Device(device), method.backbone)
    return Workload(method, strategy, augment, optimization, images, batch_size, device, precision)


def _images(wanted: DatasetPlan, at_hand: DatasetPlan) -> Tensor:
    size, channels = wanted.image_size, wanted.channels
    source = open_source(at_hand)
    held = source.select("train", source.keys("train")[:EMBEDDED])
    images = torch.tensor(held.reader()[np.arange(len(held))])
    if images.shape[-1] != size:
        scaled = functional.interpolate(images.float(), (size, size), mode="bilinear")
        images = scaled.round().to(torch.uint8)
    return lay_out(wanted, images.expand(-1, channels, -1, -1).contiguous())
