"""The probes of a task's training: on which images, and whether they may be measured at all."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.artifacts.plans.probing import ProbingPlan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.artifacts.split import Split, read_split, split_digest
from pipeline.building.components import load_class
from pipeline.building.labelled_images import LabelledImages, open_labelled_images
from pipeline.building.views import build_augment
from pipeline.data.batches import Images
from pipeline.data.parts import PARTS, Part
from pipeline.errors import DataError, PipelineError
from pipeline.evaluation.base import FeatureProbe
from pipeline.runtime.inputs import Inputs
from pipeline.seeding import generator
from pipeline.training.probing import (
    LEAST,
    SHARE_TESTED,
    Probing,
    Sample,
    choose_evenly,
    count_affordable,
    count_measurements,
)

logger = logging.getLogger(__name__)

STREAM = 0  # the seed of all samples: runs of other seeds are measured on the same images


def begin_probing(
    plan: TrainPlan, probing: ProbingPlan, learnt: Sequence[str], total_steps: int, epochs: int
) -> Probing | None:
    """The probes of a task's training; None where they cannot be measured, which is said.

    They end no training, and the images of other tasks are none of its inputs: they are read
    once, here, and what is gone or is no longer what the task has learnt is left out.

    Args:
        plan: of the training.
        probing: of the probes.
        learnt: the digest of the split of each task before, in order.
        total_steps: of the task.
        epochs: likewise.
    """
    measurements = count_measurements(epochs, probing.every)
    images = total_steps * plan.train.batch_size
    try:
        probes = {
            each.name: load_class(each.path, FeatureProbe)(**each.options)
            for each in probing.probes
        }
        affordable = count_affordable(probing.cost, images, measurements)
        if affordable < LEAST:
            raise DataError(
                f"evaluation.while_training_cost ({probing.cost}) of its work leaves each "
                f"measurement {affordable} images, and it needs {LEAST}; raise it or "
                "evaluation.every"
            )
        sample = _draw_sample(plan, probing, learnt, affordable)
    except PipelineError as error:
        logger.warning("task %d: no probe is measured while it trains: %s", plan.task, error)
        return None
    return Probing(
        probes,
        sample,
        build_augment(plan.dataset, ()).normalize,
        plan.task,
        probing.every,
        epochs,
        plan.seed,
    )


def say_cost(probing: Probing, task: int, seconds: float) -> None:
    """Log what the measurements have taken of a training that has ended.

    Args:
        probing: of the task.
        task: its number.
        seconds: that this process trained, with the measurements.
    """
    if probing.measured:
        logger.info(
            "task %d: measured %s %d times on %d images to learn from and %d to test, in %.1f s "
            "of %.1f s (%.1f %%)",
            task,
            ", ".join(probing.probes),
            probing.measured,
            len(probing.sample.train),
            len(probing.sample.test),
            probing.seconds,
            seconds,
            100 * probing.seconds / max(seconds, probing.seconds, 1e-9),
        )


def _draw_sample(
    plan: TrainPlan, probing: ProbingPlan, learnt: Sequence[str], count: int
) -> Sample:
    """So many labelled images of the tasks so far, as many of each task as can be.

    Raises:
        DataError: there are none.
    """
    splits = [read_split(task) for task in range(1, max(plan.tasks) + 1)]
    images = open_labelled_images(plan.dataset, probing.labelled, splits, Inputs("probing"))
    asked = [task for task in images.tasks(len(splits)) if _is_here(images, splits, task, learnt)]
    to_test = max(1, round(count * SHARE_TESTED))
    train, labels, _ = draw_images(images, asked, "train", count - to_test)
    test, test_labels, test_tasks = draw_images(images, images.tested(asked), "test", to_test)
    return Sample(
        train,
        labels,
        test,
        test_labels,
        test_tasks,
        1 + int(max(labels.max(), test_labels.max())),
        by_task=plan.whole_stream is None and not images.shared,
    )


def _is_here(
    images: LabelledImages, splits: Sequence[Split], task: int, learnt: Sequence[str]
) -> bool:
    """Whether a task's images are those that were learnt; it is said where they are not."""
    if task <= len(learnt) and split_digest(splits[task - 1]) != learnt[task - 1]:
        reason = "its split is not the one that was learnt"
    elif images.are_gone(task):
        reason = "its images are no longer here"
    else:
        try:
            for part in PARTS:
                images.open(task, part)
            return True
        except DataError as error:
            reason = str(error)
    logger.warning("probes while training leave task %d out: %s", task, reason)
    return False


def draw_images(
    images: LabelledImages, tasks: Sequence[int], part: Part, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """So many images of some tasks, always the same ones, and none of a later task's classes.

    Of more tasks than images some are asked, spread evenly up to the last one.

    Returns:
        The images, uint8 ``(N, C, H, W)``, their labels ``(N,)`` and their tasks ``(N,)``.

    Raises:
        DataError: there are none.
    """
    tasks = [task for task in tasks if len(images.labels(task, part))]
    if not tasks:
        raise DataError(f"no task so far has labelled {part} images that are here")
    if len(tasks) > count:
        tasks = [tasks[(place + 1) * len(tasks) // count - 1] for place in range(count)]
    drifting = {label for split in images.splits for label in (split.drifting or {}).values()}
    later = drifting - {label for split in images.splits for label in split.classes}
    drawn = []
    for task in tasks:
        labels = images.labels(task, part)
        asked = [place for place, label in enumerate(labels) if label not in later]
        stream = generator(STREAM, "probing", task, part)
        chosen = choose_evenly([labels[p] for p in asked], count // len(tasks), stream)
        places = torch.tensor([asked[place] for place in chosen], dtype=torch.int64)
        held = Images(images.open(task, part))[places]
        drawn.append((held, torch.tensor(labels)[places], torch.full_like(places, task)))
    found, labels_found, tasks_found = (torch.cat(each) for each in zip(*drawn, strict=True))
    return found, labels_found, tasks_found
