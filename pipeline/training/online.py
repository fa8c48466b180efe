"""The online linear classifier, trained step by step while the network is.

It takes nothing from the network's training and gives it nothing: its images are read apart, its
random numbers are streams of its own, and its forward pass is in eval mode and without gradient.
So the network is the same, to the last bit, with and without it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Sampler

from pipeline.data.augmentation.augment import Augment
from pipeline.data.batches import Images, training_batches
from pipeline.methods.base import Position
from pipeline.models.backbone import Backbone
from pipeline.models.frozen import evaluation_mode
from pipeline.models.loading import select_below
from pipeline.seeding import generator, seeded_initialization
from pipeline.training.optim import (
    Optimization,
    build_optimizer,
    hold_optimizer,
    restore_optimizer,
    schedule_rate,
)
from pipeline.training.task_steps import TaskSteps

# Names of its tensors in a snapshot of the training.
CLASSIFIER, OPTIMIZER = "online", "online_optimizer"


@dataclass(frozen=True)
class LabelledStream:
    """The labelled training images of all tasks of a stream.

    Attributes:
        images: of all tasks.
        labels: of each image, ``(N,)``.
        num_labels: the number of outputs that these need, C.
    """

    images: Images
    labels: Tensor
    num_labels: int


class OnlineOrder(Sampler[list[int]]):
    """The batches of a task's steps from the images of all tasks, as lists of indices.

    Each epoch of the task begins a new order of all images; where it has more steps than these
    fill, another follows. Images that do not fill a batch are left out. A step's batch depends
    on nothing but the seed, the task and the step.

    Args:
        count: images of all tasks.
        batch_size: images a step.
        steps_per_epoch: of the task.
        total_steps: of the task.
        seed: the run's seed.
        task: the number of the task, from 1.

    Attributes:
        start: the number of completed steps, where iteration begins.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        steps_per_epoch: int,
        total_steps: int,
        seed: int,
        task: int,
    ) -> None:
        self.count = count
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = total_steps
        self.seed = seed
        self.task = task
        self.start = 0

    def __len__(self) -> int:
        return self.total_steps - self.start

    def __iter__(self) -> Iterator[list[int]]:
        fill = max(1, self.count // self.batch_size)  # steps that one order of the images fills
        drawn: tuple[int, int] | None = None
        order: list[int] = []
        for step in range(self.start, self.total_steps):
            epoch, place = divmod(step, self.steps_per_epoch)
            turn, place = divmod(place, fill)
            if drawn != (epoch, turn):
                drawn = epoch, turn
                stream = generator(self.seed, "online order", self.task, epoch, turn)
                order = torch.randperm(self.count, generator=stream).tolist()
            yield order[place * self.batch_size : (place + 1) * self.batch_size]


class OnlineTrainer:
    """Take a step of the classifier after each step of the network.

    The classifier is moved by the network's optimizer and schedule, with a peak rate of its
    own and without weight decay. The features are those of the network as the step has left
    it, in float32.

    Differs from the reference: there the features are of the network before the step, in train
    mode, so that these images shape BatchNorm's statistics.

    Args:
        stream: the images it learns from.
        augment: makes one view of them, for the whole batch.
        num_features: of the backbone.
        optimization: of the network.
        learning_rate: the peak of the classifier's.
        order: which images each step takes.

    Attributes:
        classifier: from features to a score for each label.
    """

    def __init__(
        self,
        stream: LabelledStream,
        augment: Augment,
        num_features: int,
        optimization: Optimization,
        learning_rate: float,
        order: OnlineOrder,
    ) -> None:
        self.stream = stream
        self.augment = augment
        self.optimization = replace(optimization, learning_rate=learning_rate, weight_decay=0.0)
        self.order = order
        with seeded_initialization(order.seed, "online"):
            self.classifier = nn.Linear(num_features, stream.num_labels)
        self.share_of_peak = schedule_rate(
            self.optimization, TaskSteps([order.total_steps], order.steps_per_epoch)
        )
        self._held: Mapping[str, Tensor] = {}
        self._optimizer: torch.optim.Optimizer | None = None
        self._batches: Iterator[tuple[list[int], Tensor]] = iter(())

    def step(self, backbone: Backbone, at: Position) -> None:
        """Take one step.

        Args:
            backbone: the network in training; it stays as it is.
            at: the position in the task; this step of the network is counted.
        """
        device = next(backbone.parameters()).device
        optimizer = self._optimizer or self._begin(device, at.step - 1)
        rows, images = next(self._batches)
        labels = self.stream.labels[rows].to(device)
        random = generator(self.order.seed, "online views", self.order.task, at.step)
        (view,) = self.augment(images.to(device), random)
        with evaluation_mode(backbone), torch.no_grad():
            # Not by calling it: hooks count the passes that training takes.
            features = backbone.forward(view.contiguous(memory_format=torch.channels_last))
        for group in optimizer.param_groups:
            group["lr"] = self.optimization.learning_rate * self.share_of_peak(at.step - 1)
        optimizer.zero_grad()
        loss = functional.cross_entropy(self.classifier(features.float()), labels)
        torch.autograd.backward(loss)
        optimizer.step()

    def _begin(self, device: torch.device, done: int) -> torch.optim.Optimizer:
        """Begin, or go on, after some steps; return the optimizer."""
        self.classifier.to(device)
        self._optimizer = build_optimizer([self.classifier], self.optimization)
        if self._held:
            restore_optimizer(self._optimizer, self._held)
        self.order.start = done
        # A loader draws from torch's global generator when its first batch is taken.
        with seeded_initialization(self.order.seed, "online loader"):
            batches = iter(training_batches(self.stream.images, self.order))
            first = next(batches)
        self._batches = zip(self.order, itertools.chain([first], batches), strict=True)
        return self._optimizer

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the weights of the classifier after the task before; before the first step.

        Raises:
            ValueError: they are of other shapes.
        """
        for name, parameter in self.classifier.named_parameters():
            if parameter.shape != tensors[name].shape:
                raise ValueError(f"{name} is {tuple(tensors[name].shape)}")
            with torch.no_grad():
                parameter.copy_(tensors[name])

    def tensors(self) -> dict[str, Tensor]:
        """Return the classifier's ``weight`` ``(C, F)`` and ``bias`` ``(C,)``."""
        return {name: tensor.detach() for name, tensor in self.classifier.named_parameters()}

    def snapshot(self) -> dict[str, Tensor]:
        """Return all that its next step depends on, beside the network and the step, by name."""
        held = self._held if self._optimizer is None else hold_optimizer(self._optimizer)
        return {
            **{f"{CLASSIFIER}.{name}": tensor for name, tensor in self.tensors().items()},
            **{f"{OPTIMIZER}.{name}": value for name, value in held.items()},
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from a snapshot, before the first step; errors are those of ``load``."""
        self.load(select_below(tensors, CLASSIFIER))
        self._held = select_below(tensors, OPTIMIZER)
