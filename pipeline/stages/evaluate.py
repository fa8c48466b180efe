"""evaluate: what a state's features are worth, by each of the chosen probes."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from pipeline import layout
from pipeline.collapse import rankme
from pipeline.components import load_class
from pipeline.data.augment import Augment
from pipeline.data.source import Part, Source
from pipeline.data.splits import require_classes, require_images
from pipeline.device import Device, choose_device
from pipeline.errors import RunError
from pipeline.evaluation.accuracy import task_agnostic, task_aware
from pipeline.evaluation.base import Probe
from pipeline.evaluation.features import extract
from pipeline.files import Json, digest, write_sealed
from pipeline.models.backbone import Backbone
from pipeline.seeding import generator
from pipeline.stages.slots import (
    build_backbone,
    learnt_from,
    normalisation,
    open_source,
    part,
    read_split,
    require_slot,
)
from pipeline.state import load_module, load_state
from pipeline.tensor_files import write_tensors

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examples:
    """Features of a part's images, task after task.

    Attributes:
        features: float32 ``(N, F)``.
        labels: ``(N,)``.
        tasks: the task that each image belongs to, from 1, ``(N,)``.
    """

    features: Tensor
    labels: Tensor
    tasks: Tensor


def run(task: int, device: Device) -> None:
    """Write each probe's accuracies in percent, the features' ranks, and the test features.

    Every probe learns from the features of all tasks' training images, over all classes.

    Raises:
        PipelineError: the device, the splits, the images or the state are not there or not
            the plan's; or a probe's options do not fit the features.
    """
    slot = require_slot(f"evaluate_{task}")
    where = choose_device(device)
    backbone = _backbone(slot, task).to(str(where), memory_format=torch.channels_last)  # type: ignore[call-overload]
    splits = [read_split(number) for number in range(1, cast(int, slot["num_tasks"]) + 1)]
    require_classes(splits, len(cast(list[str], part(slot, "dataset")["classes"])))
    source = open_source(slot)
    started = time.monotonic()
    train, test = (_examples(slot, backbone, source, splits, name) for name in ("train", "test"))
    if not (train.features.isfinite().all() and test.features.isfinite().all()):
        raise RunError(
            f"the features of {layout.state(task)} are not finite; train the state again"
        )
    seconds = {"features": time.monotonic() - started}
    probes: Json = {}
    for spec in cast(list[Json], slot["probes"]):
        name, started = cast(str, spec["name"]), time.monotonic()
        try:
            probes[name] = _accuracies(spec, slot, train, test, splits)
        except RunError as error:
            raise RunError(f"{layout.state(task)}, probe {name}: {error}") from error
        seconds[name] = time.monotonic() - started
    accuracy = part(part(probes, cast(str, slot["headline"])), "task_agnostic")
    numbers = range(1, len(splits) + 1)
    write_sealed(
        layout.evaluation(task),
        {
            "after_task": task,
            "plan": digest(slot),
            "headline": slot["headline"],
            "accuracy": accuracy,
            "probes": probes,
            "rank": {str(n): rankme(test.features[test.tasks == n].cpu()) for n in numbers},
            "images": {"train": len(train.labels), "test": len(test.labels)},
        },
    )
    held = {"features": test.features, "labels": test.labels, "tasks": test.tasks}
    write_tensors(layout.features(task), held, {"after_task": task, "plan": digest(slot)})
    logger.info(
        "after task %d, probe %s: %s",
        task,
        slot["headline"],
        ", ".join(f"task {number} {value:.1f} %" for number, value in accuracy.items()),
    )
    logger.info("seconds: %s", ", ".join(f"{name} {took:.1f}" for name, took in seconds.items()))


def _backbone(slot: Json, task: int) -> Backbone:
    """Return the backbone of the state that the plan says."""
    path = layout.state(task)
    stage = "cassle init" if task == 0 else f"cassle train {task}"
    origin: Json = {"task": task, "backbone": slot["backbone"], "plan": slot["state"]}
    if task > 0:
        origin |= learnt_from(task)
    state = load_state(path, origin, f"run `{stage}` first (or `dvc repro`)")
    backbone = build_backbone(part(slot, "backbone"))
    load_module(backbone, state.section("method.backbone"), path)
    return backbone


def _examples(
    slot: Json, backbone: Backbone, source: Source, splits: list[Json], name: Part
) -> Examples:
    """Return the features of all tasks' images, on the backbone's device."""
    for split in splits:
        require_images(source, name, split)
    augment = Augment((), *normalisation(slot))
    indices = [torch.tensor(cast(list[int], split[name])) for split in splits]
    tasks = [torch.full_like(held, number) for number, held in enumerate(indices, start=1)]
    chosen = torch.cat(indices)
    images = torch.from_numpy(source.images(name)[chosen.numpy()])
    labels = torch.from_numpy(source.labels(name).astype("int64"))[chosen]
    features = extract(backbone, images, augment.normalise)
    where = features.device
    return Examples(features, labels.to(where), torch.cat(tasks).to(where))


def _accuracies(
    spec: Json, slot: Json, train: Examples, test: Examples, splits: list[Json]
) -> Json:
    """Return a probe's accuracy on each task's test images, in percent, both ways."""
    probe = cast(Probe, load_class(cast(str, spec["class"]))(**part(spec, "options")))
    num_classes = len(cast(list[str], part(slot, "dataset")["classes"]))
    random = generator(cast(int, slot["seed"]), probe.stream)
    scores = probe.scores(train.features, train.labels, test.features, num_classes, random)
    if not scores.isfinite().all():
        raise RunError("it gave scores that are not finite; change its options")
    agnostic: Json = {}
    aware: Json = {}
    for number, split in enumerate(splits, start=1):
        chosen = (test.tasks == number).to(scores.device)
        ours, labels = scores[chosen], test.labels.to(scores.device)[chosen]
        agnostic[str(number)] = task_agnostic(ours, labels)
        aware[str(number)] = task_aware(ours, labels, cast(list[int], split["classes"]))
    return {"task_agnostic": agnostic, "task_aware": aware}
