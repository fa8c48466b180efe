"""The tasks of a stream: class-, data- or domain-incremental."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.parts import PARTS, Part
from pipeline.data.source import Source
from pipeline.data.stream.tasks import (
    Indices,
    class_incremental,
    data_incremental,
    resolve_class_order,
)
from pipeline.errors import DataError


@dataclass(frozen=True)
class StreamOptions:
    """Options of a stream.

    Attributes:
        num_tasks: the number of tasks, T.
        split_seed: the seed of random orders.
        order: all classes in order, by name or number; None: a random order.
    """

    num_tasks: int
    split_seed: int
    order: Sequence[str | int] | None = None


@dataclass(frozen=True)
class Task:
    """The images and classes of a task.

    Attributes:
        images: the indices of its training and test images in the data set.
        classes: the labels among them, sorted; empty without labels.
        domain: the name of its domain, if tasks are domains.
    """

    images: dict[Part, Indices]
    classes: list[int]
    domain: str | None = None


def divide_into_tasks(scenario: str, source: Source, cut: StreamOptions) -> list[Task]:
    """Return the tasks of a stream, without unreadable images.

    Args:
        scenario: ``class``, ``data`` or ``domain``.
        source: the data set.
        cut: the stream's options.

    Raises:
        DataError: the data set has too few classes, images or domains, no labels, or a class
            without images.
    """
    source.require_classes()
    tasks = SCENARIOS[scenario](source, cut)
    for number, task in enumerate(tasks, start=1):
        for part, images in task.images.items():
            # Without labels nothing is tested, so a data set needs no test images then.
            if len(images) == 0 and (part == "train" or task.classes):
                raise DataError(f"{source.root}: the {part} part has no image of task {number}")
    return tasks


def _by_class(source: Source, cut: StreamOptions) -> list[Task]:
    names = source.class_names()
    if not names:
        raise DataError(
            f"scenario: class needs labels, and {source.root} has none; "
            "set scenario: data, or sort the images into one folder a class"
        )
    if cut.num_tasks > len(names):
        raise DataError(
            f"num_tasks must be at most {len(names)}, the classes of {source.root} "
            f"(scenario: class gives each task at least one), got {cut.num_tasks}"
        )
    try:
        order = None if cut.order is None else resolve_class_order(cut.order, names)
    except ValueError as error:
        raise DataError(str(error)) from error
    held = {part: source.usable(part) for part in PARTS}
    labels = {part: source.labels(part)[held[part]] for part in PARTS}
    return [
        Task({part: held[part][np.isin(labels[part], group)] for part in PARTS}, group)
        for group in class_incremental(len(names), cut.num_tasks, cut.split_seed, order)
    ]


def _by_image(source: Source, cut: StreamOptions) -> list[Task]:
    train, test = source.usable("train"), source.usable("test")
    if cut.num_tasks > len(train):
        raise DataError(
            f"num_tasks must be at most {len(train)}, the training images of {source.root}, "
            f"got {cut.num_tasks}"
        )
    classes = list(range(len(source.class_names())))
    parts = data_incremental(train, cut.num_tasks, cut.split_seed)
    return [Task({"train": part, "test": test}, classes) for part in parts]


def _by_domain(source: Source, cut: StreamOptions) -> list[Task]:
    domains = source.domain_names()
    if cut.num_tasks > len(domains):
        raise DataError(
            f"scenario: domain gives each task one domain, and {source.root} has {len(domains)} "
            f"({', '.join(domains) or 'it is not sorted into domain/class folders'}); "
            f"num_tasks is {cut.num_tasks}"
        )
    names = source.class_names()
    tasks = []
    for number, domain in enumerate(domains[: cut.num_tasks]):
        images = {}
        for part in PARTS:
            held = source.usable(part)
            images[part] = held[source.domains(part)[held] == number]
        found = set(source.labels("train")[images["train"]].tolist())
        missing = [name for label, name in enumerate(names) if label not in found]
        if missing:
            raise DataError(
                f"{source.root}: the domain '{domain}' has no training image of "
                f"{len(missing)} of {len(names)} classes: {', '.join(missing[:10])}; "
                "domains must share their classes"
            )
        tasks.append(Task(images, list(range(len(names))), domain))
    return tasks


SCENARIOS: dict[str, Callable[[Source, StreamOptions], list[Task]]] = {
    "class": _by_class,
    "data": _by_image,
    "domain": _by_domain,
}
