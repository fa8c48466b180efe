"""evaluate: what a state's features are worth, by each of the chosen probes."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from pipeline import layout
from pipeline.artifacts.plan import made_by, part, require_slot
from pipeline.artifacts.split import class_names, learnt_from, read_splits, shared_test
from pipeline.artifacts.state import load_state
from pipeline.building.backbone import build_backbone
from pipeline.building.components import load_class
from pipeline.building.data import LABELLED_TWICE, normalisation, open_labelled, open_source
from pipeline.building.split_images import require_classes, require_images
from pipeline.data.augmentation.augment import Augment
from pipeline.data.batches import Images, ordered_batches
from pipeline.data.source import Part, Source
from pipeline.errors import DataError, RunError
from pipeline.evaluation.base import Probe
from pipeline.evaluation.examples import Examples
from pipeline.evaluation.features import BATCH, extract
from pipeline.files.sealed_json import Json, digest, write_sealed
from pipeline.files.tensors import write_tensors
from pipeline.metrics.accuracy import task_agnostic, task_aware
from pipeline.metrics.collapse import rankme
from pipeline.models.backbone import Backbone
from pipeline.models.loading import load_module
from pipeline.runtime.device import Device, choose_device
from pipeline.runtime.shortages import explain_out_of_memory
from pipeline.seeding import generator

logger = logging.getLogger(__name__)


def run(task: int, device: Device) -> None:
    """Evaluate the state after a task, and say what came out.

    Raises:
        PipelineError: as ``score`` says.
    """
    for line in score(task, device, layout.evaluation(task), layout.features(task)):
        logger.info(line)


def score(task: int, device: Device, evaluation: Path, features: Path) -> list[str]:
    """Write each probe's accuracies in percent, the features' ranks, and the test features.

    Every probe learns from the features of all tasks' training images, over all classes.

    Args:
        task: the number of the task; 0: the random network.
        device: where to run.
        evaluation: the file of accuracies and ranks.
        features: the file of features.

    Returns:
        what to say of it, in lines.

    Raises:
        PipelineError: the device, the splits, the images or the state are not there or not
            the plan's; a probe's options do not fit the features; or there is too little
            memory.
    """
    with explain_out_of_memory(
        f"evaluation after task {task}", "end other programs, or choose another --device"
    ):
        return _score(require_slot(f"evaluate_{task}"), task, device, evaluation, features)


def _score(slot: Json, task: int, device: Device, evaluation: Path, features: Path) -> list[str]:
    where = choose_device(device)
    backbone = _backbone(slot, task).to(str(where), memory_format=torch.channels_last)  # type: ignore[call-overload]
    splits = read_splits(cast(int, slot["num_tasks"]))
    source = _labelled(slot, splits)
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
            probes[name] = _accuracies(spec, slot, train, test, splits, source.class_names())
        except RunError as error:
            raise RunError(f"{layout.state(task)}, probe {name}: {error}") from error
        seconds[name] = time.monotonic() - started
    accuracy = part(part(probes, cast(str, slot["headline"])), "task_agnostic")
    held = {"features": test.features, "labels": test.labels, "tasks": test.tasks}
    content = write_tensors(features, held, {"after_task": task, "plan": digest(slot)})
    write_sealed(
        evaluation,
        {
            "after_task": task,
            "plan": digest(slot),
            "headline": slot["headline"],
            "class_names": list(source.class_names()),
            "accuracy": accuracy,
            "features": content,
            "probes": probes,
            "rank": _ranks(test, len(splits)),
            "images": {"train": len(train.labels), "test": len(test.labels)},
        },
    )
    found = ", ".join(f"task {number} {value:.1f} %" for number, value in accuracy.items())
    took = ", ".join(f"{name} {taken:.1f}" for name, taken in seconds.items())
    return [f"after task {task}, probe {slot['headline']}: {found}", f"seconds: {took}"]


def _backbone(slot: Json, task: int) -> Backbone:
    """Return the backbone of the state that the plan says."""
    path = layout.state(task)
    stage = "cassle init" if task == 0 else f"cassle train {task}"
    origin: Json = {"task": task, "backbone": slot["backbone"]}
    if task > 0:
        origin |= learnt_from(task)
    origin |= made_by("init" if task == 0 else f"train_{task}", slot["state"])
    state = load_state(path, origin, f"run `{stage}` first (or `dvc repro`)")
    backbone = build_backbone(part(slot, "backbone"))
    load_module(backbone, state.section("method.backbone"), path)
    return backbone


def _labelled(slot: Json, splits: list[Json]) -> Source:
    """Return the images that the probes learn from and are asked about.

    Raises:
        DataError: they have no labels, or labels that ``data.labelled_root`` would replace.
    """
    if "labelled" not in slot:
        if not class_names(splits):
            raise DataError(
                "labels are missing, and evaluation needs them: no task's images have any; name "
                "a folder of class folders as data.labelled_root (or train alone, with `dvc repro "
                "train`, and take the network away with `cassle export`)"
            )
        source = open_source(slot)
        require_classes(splits, len(source.class_names()))
        return source
    if class_names(splits):
        raise DataError(LABELLED_TWICE)
    return open_labelled(slot)


def _examples(
    slot: Json, backbone: Backbone, source: Source, splits: list[Json], name: Part
) -> Examples:
    """Return the features of all tasks' images, on the backbone's device."""
    augment = Augment((), *normalisation(slot))
    shared = name == "test" and shared_test(splits)
    if "labelled" in slot:
        places = [source.usable(name)]
    else:
        for split in splits:
            require_images(source, name, split)
        places = [np.array(split[name], np.int64) for split in (splits[:1] if shared else splits)]
    tasks = [np.full_like(held, number) for number, held in enumerate(places, start=1)]
    chosen = np.concatenate(places)
    images = Images(source.images(name), chosen, source.workers(name))
    labels = torch.from_numpy(source.labels(name)[chosen].astype("int64"))
    features = extract(backbone, ordered_batches(images, BATCH), augment.normalize)
    where = features.device
    of_tasks = torch.from_numpy(np.concatenate(tasks))
    return Examples(features, labels.to(where), of_tasks.to(where), shared)


def _ranks(test: Examples, num_tasks: int) -> Json:
    """Return the effective rank of the features of each task's test images."""
    different = 1 if test.shared else num_tasks
    ranks = [rankme(test.of(number).features.cpu()) for number in range(1, different + 1)]
    return {str(number): ranks[min(number, different) - 1] for number in range(1, num_tasks + 1)}


def _accuracies(
    spec: Json,
    slot: Json,
    train: Examples,
    test: Examples,
    splits: list[Json],
    names: Sequence[str],
) -> Json:
    """Return a probe's accuracy on each task's test images, in percent, both ways.

    Task-aware is within the classes of the image's task; where tasks are domains, it is by a
    classifier that learnt from the domain's training images alone.
    """
    probe = cast(Probe, load_class(cast(str, spec["class"]))(**part(spec, "options")))
    num_classes = len(names)

    def scored(learnt: Examples, asked: Examples) -> Tensor:
        random = generator(cast(int, slot["seed"]), probe.stream)
        scores = probe.scores(learnt.features, learnt.labels, asked.features, num_classes, random)
        if not scores.isfinite().all():
            raise RunError("it gave scores that are not finite; change its options")
        return scores

    scores = scored(train, test)
    agnostic: Json = {}
    aware: Json = {}
    for number, split in enumerate(splits, start=1):
        ours = scores if test.shared else scores[(test.tasks == number).to(scores.device)]
        asked = test.of(number)
        labels = asked.labels.to(scores.device)
        agnostic[str(number)] = task_agnostic(ours, labels)
        # A domain has all classes: to know it is to have learnt from its images alone.
        aware[str(number)] = (
            task_agnostic(scored(train.of(number), asked), labels)
            if "domain" in split
            else task_aware(ours, labels, cast(list[int], split["classes"]))
        )
    return {"task_agnostic": agnostic, "task_aware": aware}
