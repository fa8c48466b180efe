"""A task's training as the plan describes it, on images that are at hand."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.artifacts.plan import part
from pipeline.building.data import open_source
from pipeline.building.stand_in import begin
from pipeline.building.training import build_optimization
from pipeline.building.views import build_augment
from pipeline.data.augmentation.augment import Augment
from pipeline.files.sealed_json import Json
from pipeline.methods.base import Method, Position, Views
from pipeline.runtime.device import Device, Precision, choose_precision
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
            step = Step(self.method, self.views, encoded, self.at)
            terms = [self.method.loss(self.views, encoded), *self.strategy.terms(step).values()]
            loss = torch.stack(terms).sum()
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.method.after_step(self.at)


def build(slot: Json, device: str) -> Workload:
    """Return the training of a slot: task 2 of a stream, or task 1 where the slot says so.

    The images are the embedded ones, brought to the slot's size and channels: what they show
    costs nothing.

    Args:
        slot: of the plan, with ``stand_in`` beside it: the slot whose images are at hand.
        device: where it runs.
    """
    images, augment = _images(slot), build_augment(slot)
    training = part(slot, "train")
    batch_size = cast(int, training["batch_size"])
    method, strategy = begin(slot, images, augment, batch_size, device, "benchmark")
    # No warm-up: the schedule costs nothing, and its length is the benchmark's own.
    optimization = replace(build_optimization(slot), warmup_epochs=0.0)
    precision = choose_precision(cast(str, training["precision"]), Device(device))
    return Workload(method, strategy, augment, optimization, images, batch_size, device, precision)


def _images(slot: Json) -> Tensor:
    dataset = part(slot, "dataset")
    size, channels = cast(int, dataset["image_size"]), cast(int, dataset["channels"])
    held = open_source(part(slot, "stand_in")).images("train")
    images = torch.tensor(held[np.arange(min(EMBEDDED, len(held)))])
    if images.shape[-1] != size:
        scaled = functional.interpolate(images.float(), (size, size), mode="bilinear")
        images = scaled.round().to(torch.uint8)
    return images.expand(-1, channels, -1, -1).contiguous()
