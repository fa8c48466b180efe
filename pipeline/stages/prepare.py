"""prepare: cut the data set into tasks, once, and write down which images they hold."""

from __future__ import annotations

import logging
from typing import cast

import numpy as np

from pipeline import layout
from pipeline.artifacts.plan import part, require_slot
from pipeline.artifacts.split import index_of
from pipeline.building.data import cut, open_source
from pipeline.data.source import PARTS, Part, Source
from pipeline.data.stream.scenarios import Task, divide_into_tasks
from pipeline.files.sealed_json import Json, digest, write_sealed
from pipeline.reporting.task_names import TaskContents, describe_tasks, remark_on_tasks

logger = logging.getLogger(__name__)


def run() -> None:
    """Write data/splits/task_1.json and on; slots above num_tasks hold ``null``.

    Raises:
        DataError: images or labels are missing or damaged, or cannot be cut as planned.
    """
    slot = require_slot("prepare")
    source = open_source(slot)
    tasks = divide_into_tasks(cast(str, slot["scenario"]), source, cut(slot))
    about = _about(slot, source)
    splits = [_split(number, task, source, about) for number, task in enumerate(tasks, start=1)]
    for held in describe_tasks(splits):
        logger.info(_line(held))
    for remark in remark_on_tasks(splits):
        logger.info(remark)
    for task in range(1, cast(int, slot["slots"]) + 1):
        write_sealed(layout.split(task), splits[task - 1] if task <= len(splits) else None)
    write_sealed(layout.SPLIT_INDEX, index_of(splits))
    # Apart from the tasks' files: a param that moves no image must not train them again.
    write_sealed(layout.SPLIT_ORIGIN, {"plan": digest(slot)})


def _about(slot: Json, source: Source) -> Json:
    """Return what all splits say."""
    about: Json = {
        "scenario": slot["scenario"],
        "dataset": part(slot, "dataset")["name"],
        "fingerprint": {name: source.fingerprint(name) for name in PARTS},
    }
    skipped: Json = {name: len(source.unreadable(name)) for name in PARTS}
    if any(skipped.values()):
        about["skipped"] = skipped
    if source.note:
        about["note"] = source.note
    return about


def _split(number: int, task: Task, source: Source, about: Json) -> Json:
    names = source.class_names()
    split: Json = {
        **about,
        "task": number,
        "classes": task.classes,
        "class_names": [names[label] for label in task.classes],
        "counts": {name: _counts(name, task, source) for name in PARTS},
    }
    split |= {name: images.tolist() for name, images in task.images.items()}
    if task.domain is not None:
        split["domain"] = task.domain
    return split


def _counts(name: Part, task: Task, source: Source) -> Json:
    """Return the number of images of each class, and of all."""
    names, images = source.class_names(), task.images[name]
    labels = source.labels(name)[images]
    each = np.bincount(labels[labels >= 0], minlength=len(names))
    return {"all": len(images), "classes": {names[n]: int(each[n]) for n in task.classes}}


def _line(held: TaskContents) -> str:
    return f"task {held.task}: {held.name} ({held.train} training, {held.test} test images)"
