"""prepare: cut the data set into tasks, once, and write down which images they hold."""

from __future__ import annotations

import logging

import numpy as np

from pipeline.artifacts.plans.files import plan_digest, require_plan
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.split import Counts, Split, write_split_origin, write_splits
from pipeline.building.data import open_source
from pipeline.data.parts import PARTS, Part
from pipeline.data.source import Source
from pipeline.data.stream.scenarios import Task, divide_into_tasks
from pipeline.reporting.task_names import TaskContents, describe_tasks, remark_on_tasks

logger = logging.getLogger(__name__)


def run() -> None:
    """Write data/splits/task_1.json and on; slots above num_tasks hold ``null``.

    Raises:
        DataError: images or labels are missing or damaged, or cannot be cut as planned.
    """
    plan = require_plan(PreparePlan, "prepare")
    source = open_source(plan.dataset)
    tasks = divide_into_tasks(plan.scenario, source, plan.stream)
    splits = [_split(number, task, source, plan) for number, task in enumerate(tasks, start=1)]
    for held in describe_tasks(splits):
        logger.info(_line(held))
    for remark in remark_on_tasks(splits):
        logger.info(remark)
    write_splits(splits, plan.slots)
    write_split_origin(plan_digest(plan))


def _split(number: int, task: Task, source: Source, plan: PreparePlan) -> Split:
    names = source.class_names()
    skipped: dict[str, int] = {part: len(source.unreadable(part)) for part in PARTS}
    return Split(
        task=number,
        scenario=plan.scenario,
        dataset=plan.dataset.name,
        fingerprint={part: source.fingerprint(part) for part in PARTS},
        classes=task.classes,
        class_names=[names[label] for label in task.classes],
        counts={part: _count(part, task, source) for part in PARTS},
        train=task.images["train"].tolist(),
        test=task.images["test"].tolist(),
        domain=task.domain,
        skipped=skipped if any(skipped.values()) else None,
        note=source.note or None,
    )


def _count(part: Part, task: Task, source: Source) -> Counts:
    """The number of images of each class, and of all."""
    names, images = source.class_names(), task.images[part]
    labels = source.labels(part)[images]
    each = np.bincount(labels[labels >= 0], minlength=len(names))
    return Counts(len(images), {names[label]: int(each[label]) for label in task.classes})


def _line(held: TaskContents) -> str:
    return f"task {held.task}: {held.name} ({held.train} training, {held.test} test images)"
