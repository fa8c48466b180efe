"""evaluate: how well a state's features tell all classes apart."""

from __future__ import annotations

import logging
from typing import cast

import torch
from torch import Tensor

from pipeline import layout
from pipeline.data.augment import Augment
from pipeline.data.source import Part, Source
from pipeline.device import Device, choose_device
from pipeline.errors import RunError
from pipeline.evaluation.features import extract
from pipeline.evaluation.linear import (
    LinearEvaluation,
    accuracy,
    standardization,
    train_classifier,
)
from pipeline.files import Json, digest, write_json
from pipeline.seeding import generator
from pipeline.stages.slots import (
    build_backbone,
    normalisation,
    open_source,
    part,
    read_split,
    require_same_images,
    require_slot,
    split_digest,
)
from pipeline.state import load_module, load_state

logger = logging.getLogger(__name__)


def run(task: int, device: Device) -> None:
    """Write the accuracy on each task's test images, in percent.

    One linear classifier over all classes, trained on the features of all tasks' training
    images, no class masked.

    Raises:
        PipelineError: the device, the splits, the images or the state are not there or not
            the plan's.
    """
    slot = require_slot(f"evaluate_{task}")
    where = choose_device(device)
    path = layout.state(task)
    stage = "cassle init" if task == 0 else f"cassle train {task}"
    origin: Json = {"task": task, "backbone": slot["backbone"], "plan": slot["state"]}
    if task > 0:
        origin["split"] = split_digest(task)
    state = load_state(path, origin, f"run `{stage}` first (or `dvc repro`)")
    backbone = build_backbone(part(slot, "backbone"))
    load_module(backbone, state.section("method.backbone"), path)
    backbone = backbone.to(str(where), memory_format=torch.channels_last)  # type: ignore[call-overload]

    dataset = part(slot, "dataset")
    augment = Augment((), *normalisation(slot))
    splits = [read_split(number) for number in range(1, cast(int, slot["num_tasks"]) + 1)]
    source = open_source(slot)
    train_images, train_labels, _ = _part(source, splits, "train")
    test_images, test_labels, test_tasks = _part(source, splits, "test")
    train_features = extract(backbone, train_images, augment.normalise)
    test_features = extract(backbone, test_images, augment.normalise)

    given = part(slot, "linear_eval")
    schedule = LinearEvaluation(**given)  # type: ignore[arg-type]
    if schedule.standardize:
        centre, spread = standardization(train_features)
        train_features = (train_features - centre) / spread
        test_features = (test_features - centre) / spread
    classifier = train_classifier(
        train_features,
        train_labels.to(str(where)),
        len(cast(list[str], dataset["classes"])),
        schedule,
        generator(cast(int, slot["seed"]), "linear evaluation"),
    )
    if not (train_features.isfinite().all() and classifier.weight.isfinite().all()):
        raise RunError(
            f"the linear evaluation of {path} gave weights that are not finite; lower "
            f"linear_eval.learning_rate ({schedule.learning_rate}), or train the state again"
        )
    test_labels = test_labels.to(str(where))
    accuracies: Json = {}
    for number in range(1, len(splits) + 1):
        chosen = (test_tasks == number).to(str(where))
        accuracies[str(number)] = accuracy(classifier, test_features[chosen], test_labels[chosen])
    write_json(
        layout.evaluation(task),
        {"after_task": task, "accuracy": accuracies, "plan": digest(slot)},
    )
    logger.info(
        "after task %d: %s",
        task,
        ", ".join(f"task {number} {value:.1f} %" for number, value in accuracies.items()),
    )


def _part(source: Source, splits: list[Json], name: Part) -> tuple[Tensor, Tensor, Tensor]:
    """Return all tasks' images, their labels, and the task that each belongs to."""
    for split in splits:
        require_same_images(source, name, split)
    indices = [torch.tensor(cast(list[int], split[name])) for split in splits]
    tasks = [torch.full_like(held, number) for number, held in enumerate(indices, start=1)]
    chosen = torch.cat(indices)
    images = torch.from_numpy(source.images(name)[chosen.numpy()])
    labels = torch.from_numpy(source.labels(name).astype("int64"))[chosen]
    return images, labels, torch.cat(tasks)
