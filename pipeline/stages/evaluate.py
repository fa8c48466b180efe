"""evaluate: what a state's features are worth, by each of the chosen probes."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline import layout
from pipeline.artifacts.evaluation import Evaluation, ProbeAccuracies, write_evaluation
from pipeline.artifacts.features import write_features
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.plans.files import plan_digest, require_plan
from pipeline.artifacts.plans.parts import ComponentPlan
from pipeline.artifacts.split import Split, class_names, read_splits, shared_test
from pipeline.building.components import load_class
from pipeline.building.data import LABELLED_TWICE, open_labelled, open_source
from pipeline.building.split_images import require_classes, select_images
from pipeline.building.trained_backbone import load_backbone
from pipeline.building.views import build_augment
from pipeline.data.batches import Images, ordered_batches
from pipeline.data.parts import Part
from pipeline.data.source import Source
from pipeline.errors import DataError, RunError
from pipeline.evaluation.base import Probe
from pipeline.evaluation.examples import Examples
from pipeline.evaluation.features import BATCH, extract
from pipeline.metrics.accuracy import task_agnostic, task_aware
from pipeline.metrics.collapse import rankme
from pipeline.models.backbone import Backbone
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
        What to tell people of it, line by line.

    Raises:
        PipelineError: the device, the splits, the images or the state are not there or not
            the plan's; a probe's options do not fit the features; or there is too little
            memory.
    """
    with explain_out_of_memory(
        f"evaluation after task {task}", "end other programs, or choose another --device"
    ):
        plan = require_plan(EvaluatePlan, f"evaluate_{task}")
        return _score(plan, choose_device(device), evaluation, features)


def _score(plan: EvaluatePlan, device: Device, evaluation: Path, features: Path) -> list[str]:
    backbone, _ = load_backbone(plan)
    backbone.to(memory_format=torch.channels_last).to(torch.device(device))
    splits = read_splits(plan.num_tasks)
    source = _open_labelled(plan, splits)
    started = time.monotonic()
    train, test = (_extract(plan, backbone, source, splits, part) for part in ("train", "test"))
    if not (train.features.isfinite().all() and test.features.isfinite().all()):
        raise RunError(
            f"the features of {layout.state(plan.task)} are not finite; train the state again"
        )
    seconds = {"features": time.monotonic() - started}
    probes = {}
    for each in plan.probes:
        started = time.monotonic()
        try:
            probes[each.name] = _probe(
                each, plan.seed, train, test, splits, len(source.class_names())
            )
        except RunError as error:
            raise RunError(f"{layout.state(plan.task)}, probe {each.name}: {error}") from error
        seconds[each.name] = time.monotonic() - started
    accuracy = probes[plan.headline].task_agnostic
    found = Evaluation(
        after_task=plan.task,
        plan=plan_digest(plan),
        headline=plan.headline,
        class_names=list(source.class_names()),
        accuracy=accuracy,
        features=write_features(
            features, test.features, test.labels, test.tasks, plan.task, plan_digest(plan)
        ),
        probes=probes,
        rank=_ranks(test, len(splits)),
        images={"train": len(train.labels), "test": len(test.labels)},
    )
    write_evaluation(evaluation, found)
    said = ", ".join(f"task {number} {value:.1f} %" for number, value in accuracy.items())
    took = ", ".join(f"{name} {taken:.1f}" for name, taken in seconds.items())
    return [f"after task {plan.task}, probe {plan.headline}: {said}", f"seconds: {took}"]


def _open_labelled(plan: EvaluatePlan, splits: Sequence[Split]) -> Source:
    """The images that the probes learn from and are asked about.

    Raises:
        DataError: they have no labels, or labels that ``data.labelled_root`` would replace.
    """
    if plan.labelled is None:
        if not class_names(splits):
            raise DataError(
                "labels are missing, and evaluation needs them: no task's images have any; name "
                "a folder of class folders as data.labelled_root (or train alone, with `dvc repro "
                "train`, and take the network away with `cassle export`)"
            )
        source = open_source(plan.dataset)
        require_classes(splits, len(source.class_names()))
        return source
    if class_names(splits):
        raise DataError(LABELLED_TWICE)
    return open_labelled(plan.labelled)


def _extract(
    plan: EvaluatePlan, backbone: Backbone, source: Source, splits: Sequence[Split], part: Part
) -> Examples:
    """The features of all tasks' images, on the backbone's device."""
    augment = build_augment(plan.dataset, ())
    shared = part == "test" and shared_test(splits)
    if plan.labelled is not None:
        indices = [source.usable(part)]
    else:
        selected = [select_images(source, part, split) for split in splits]
        indices = selected[:1] if shared else selected
    tasks = [np.full_like(held, number) for number, held in enumerate(indices, start=1)]
    chosen = np.concatenate(indices)
    images = Images(source.images(part), chosen, source.workers(part))
    labels = torch.from_numpy(source.labels(part)[chosen].astype("int64"))
    features = extract(backbone, ordered_batches(images, BATCH), augment.normalize)
    where = features.device
    of_tasks = torch.from_numpy(np.concatenate(tasks))
    return Examples(features, labels.to(where), of_tasks.to(where), shared)


def _ranks(test: Examples, num_tasks: int) -> dict[str, float]:
    """The effective rank of the features of each task's test images."""
    different = 1 if test.shared else num_tasks
    ranks = [rankme(test.of(number).features.cpu()) for number in range(1, different + 1)]
    return {str(number): ranks[min(number, different) - 1] for number in range(1, num_tasks + 1)}


def _probe(
    plan: ComponentPlan,
    seed: int,
    train: Examples,
    test: Examples,
    splits: Sequence[Split],
    num_classes: int,
) -> ProbeAccuracies:
    """A probe's accuracy on each task's test images, in percent, both ways.

    Task-aware is within the classes of the image's task; where tasks are domains, it is by a
    classifier that learnt from the domain's training images alone.
    """
    probe = load_class(plan.path, Probe)(**plan.options)

    def score(learnt: Examples, asked: Examples) -> Tensor:
        random = generator(seed, probe.stream)
        scores = probe.scores(learnt.features, learnt.labels, asked.features, num_classes, random)
        if not scores.isfinite().all():
            raise RunError("it gave scores that are not finite; change its options")
        return scores

    scores = score(train, test)
    agnostic: dict[str, float] = {}
    aware: dict[str, float] = {}
    for number, split in enumerate(splits, start=1):
        ours = scores if test.shared else scores[(test.tasks == number).to(scores.device)]
        asked = test.of(number)
        labels = asked.labels.to(scores.device)
        agnostic[str(number)] = task_agnostic(ours, labels)
        # A domain has all classes: to know it is to have learnt from its images alone.
        aware[str(number)] = (
            task_agnostic(score(train.of(number), asked), labels)
            if split.domain is not None
            else task_aware(ours, labels, split.classes)
        )
    return ProbeAccuracies(agnostic, aware)
