"""Probes of the network in training, on a fixed sample of labelled images.

Labels serve to measure and for nothing else: no loss sees them. The network is in eval mode
meanwhile and without gradient, and no random number of training's is drawn. So the network is the
same, to the last bit, with and without it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.artifacts.training_log import Over, name_measurement
from pipeline.evaluation.base import FeatureProbe
from pipeline.evaluation.features import BATCH
from pipeline.metrics.accuracy import task_agnostic
from pipeline.models.backbone import Backbone
from pipeline.models.frozen import evaluation_mode
from pipeline.seeding import generator, seeded_initialization

logger = logging.getLogger(__name__)

# Forward passes that training takes for each image of a step: two views, and for each a backward
# pass, which is the work of two. What a teacher or the augmentation costs is not counted.
PASSES_OF_TRAINING = 6
MOST = 4000  # images of a sample, however much training there is: they are held in memory
LEAST = 30
SHARE_TESTED = 1 / 3  # of the sample; a probe learns from the rest


@dataclass(frozen=True)
class Sample:
    """Labelled images of the tasks so far.

    Attributes:
        train: that probes learn from, uint8 ``(N, C, H, W)``.
        labels: their classes, in 0 .. num_classes - 1, ``(N,)``.
        test: that accuracies are of, uint8 ``(M, C, H, W)``.
        test_labels: their classes, ``(M,)``.
        test_tasks: the task of each, ``(M,)``; all 1 where tasks share their test images.
        num_classes: the number of classes.
        by_task: whether tasks have test images of their own and are learnt one after another.
    """

    train: Tensor
    labels: Tensor
    test: Tensor
    test_labels: Tensor
    test_tasks: Tensor
    num_classes: int
    by_task: bool

    def __len__(self) -> int:
        return len(self.train) + len(self.test)


def count_measurements(epochs: int, every: int) -> int:
    """The number of a task's epochs that are measured: each ``every``-th one, and the last."""
    return math.ceil(epochs / every)


def count_affordable(cost: float, images: int, measurements: int) -> int:
    """The images that each measurement may pass through the network once.

    Args:
        cost: the share of training's work that all measurements of a task may take.
        images: that training takes, over all epochs.
        measurements: of the task.
    """
    return min(MOST, int(cost * PASSES_OF_TRAINING * images / measurements))


def choose_evenly(labels: Sequence[int], count: int, stream: torch.Generator) -> list[int]:
    """The places of some images, as many of each class as can be, sorted.

    A larger number has those of a smaller one, and some more.

    Args:
        labels: of all images.
        count: how many to choose; all, if there are fewer.
        stream: draws their order.
    """
    order = torch.randperm(len(labels), generator=stream).tolist()
    seen: dict[int, int] = {}
    ranked = []
    for place in order:
        rank = seen.get(labels[place], 0)
        seen[labels[place]] = rank + 1
        ranked.append((rank, place))
    ranked.sort(key=lambda pair: pair[0])
    return sorted(place for _, place in ranked[:count])


class Probing:
    """Measure the network when an epoch ends.

    Args:
        probes: by name.
        sample: what they are fitted to and tested on.
        normalize: turns bytes into what the network was trained on.
        task: the number of the task, from 1.
        every: epochs between two measurements.
        epochs: of the task.
        seed: the run's seed.

    Attributes:
        measured: how many measurements this process has made.
        seconds: what they took.
    """

    def __init__(
        self,
        probes: Mapping[str, FeatureProbe],
        sample: Sample,
        normalize: Callable[[Tensor], Tensor],
        task: int,
        every: int,
        epochs: int,
        seed: int,
    ) -> None:
        self.probes = dict(probes)
        self.sample = sample
        self.normalize = normalize
        self.task = task
        self.every = every
        self.epochs = epochs
        self.seed = seed
        self.measured = 0
        self.seconds = 0.0
        self._columns = self._list_columns()

    def measure(self, backbone: Backbone, epoch: int) -> dict[str, float | None]:
        """Return accuracies in percent by name of their column; None where none is due.

        Args:
            backbone: the network in training; it stays as it is.
            epoch: the number of the epoch that has ended, from 1.
        """
        nothing: dict[str, float | None] = dict.fromkeys(self._columns)
        if epoch % self.every and epoch != self.epochs:
            return nothing
        began = time.monotonic()
        found = nothing | self._measure(backbone) if self.probes else nothing
        self.measured += 1
        self.seconds += time.monotonic() - began
        return found

    def _list_columns(self) -> list[str]:
        ends: list[Over] = ["all"]
        if self.sample.by_task:
            tasks = set(self.sample.test_tasks.tolist())
            if self.task in tasks:
                ends.append("this")
            if tasks - {self.task}:
                ends.append("earlier")
        return [name_measurement(name, end) for name in self.probes for end in ends]

    def _measure(self, backbone: Backbone) -> dict[str, float | None]:
        sample = self.sample
        found: dict[str, float | None] = {}
        try:
            train, test = (self._extract(backbone, each) for each in (sample.train, sample.test))
        except (RuntimeError, MemoryError) as error:
            self._leave(list(self.probes), error)
            return {}
        labels, wanted = sample.labels.to(train.device), sample.test_labels.to(train.device)
        for name, probe in list(self.probes.items()):
            # A probe that draws from torch's generator, and not from its own, moves nothing.
            with seeded_initialization(self.seed, "probing"):
                stream = generator(self.seed, probe.stream)
                try:
                    scores = probe.scores(train, labels, test, sample.num_classes, stream)
                except Exception as error:
                    self._leave([name], error)
                    continue
            found |= self._describe(name, scores, wanted)
        return found

    def _extract(self, backbone: Backbone, images: Tensor) -> Tensor:
        """The features of images, float32 ``(N, F)``, on the network's device."""
        device = next(backbone.parameters()).device
        with evaluation_mode(backbone), torch.no_grad():
            # Not by calling it: hooks count the passes that training takes.
            batches = [
                backbone.forward(
                    self.normalize(batch.to(device)).contiguous(memory_format=torch.channels_last)
                )
                for batch in torch.split(images, BATCH)
            ]
        return torch.cat(batches).float()

    def _describe(self, name: str, scores: Tensor, wanted: Tensor) -> dict[str, float]:
        """The accuracy on all tasks so far, on this one and on the earlier ones: means of tasks."""
        tasks = self.sample.test_tasks.to(scores.device)
        by_task = {
            task: task_agnostic(scores[tasks == task], wanted[tasks == task])
            for task in sorted(set(self.sample.test_tasks.tolist()))
        }
        earlier = [value for task, value in by_task.items() if task != self.task]
        found = {name_measurement(name, "all"): _mean(list(by_task.values()))}
        if self.sample.by_task:
            if self.task in by_task:
                found[name_measurement(name, "this")] = by_task[self.task]
            if earlier:
                found[name_measurement(name, "earlier")] = _mean(earlier)
        return found

    def _leave(self, names: Sequence[str], error: BaseException) -> None:
        """Say that probes have failed, once, and measure them no more."""
        said = " ".join(f"{type(error).__name__}: {error}".split())
        for name in names:
            del self.probes[name]
            logger.warning("probe %s failed (%s); training goes on without it", name, said[:300])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
