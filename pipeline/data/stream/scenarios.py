"""The tasks of a stream: class-, data- or domain-incremental, or a folder each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.parts import PARTS, Part
from pipeline.data.source import Source
from pipeline.data.stream.superclasses import group_superclasses
from pipeline.data.stream.tasks import (
    ClassOrder,
    Indices,
    data_incremental,
    group_classes,
)
from pipeline.errors import DataError


@dataclass(frozen=True)
class StreamOptions:
    """Options of a stream.

    Attributes:
        num_tasks: the number of tasks, T.
        split_seed: the seed of random orders.
        order: all classes in order, by name or number; lists among them are a task each; None:
            a random order.
        superclasses: the names of the classes of each, where tasks hold whole ones; else none.
        irregular: whether the numbers of classes, or of superclasses, a task are drawn.
        imbalanced: the longest task to the shortest, in training images, where all were as long.
        blurred: the share of a task's training images that lie where neighbours mix.
    """

    num_tasks: int
    split_seed: int
    order: ClassOrder | None = None
    superclasses: Sequence[Sequence[str]] = ()
    irregular: bool = False
    imbalanced: float = 1.0
    blurred: float = 0.0

    @property
    def looks_ahead(self) -> bool:
        """Whether what a task holds depends on the number of tasks, or on the task after it."""
        return self.imbalanced > 1 or self.blurred > 0


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
    """Return the tasks of a stream, as long as they come and not mixed.

    Args:
        scenario: ``class``, ``data``, ``domain`` or ``folders``.
        source: the data set.
        cut: the stream's options.

    Raises:
        DataError: the data set has too few classes, images or domains, no labels, or a class
            without images.
    """
    if scenario != "folders":  # whose classes may come in folders that are no longer there
        source.require_classes()
    tasks = SCENARIOS[scenario](source, cut)
    for number, task in enumerate(tasks, start=1):
        for part, images in task.images.items():
            # Without labels nothing is tested, so a data set needs no test images then.
            needed = part == "train" or (bool(task.classes) and source.needs_tests)
            if len(images) == 0 and needed:
                where = f"task {number}" if task.domain is None else f"task '{task.domain}'"
                raise DataError(f"{source.root}: the {part} part has no image of {where}")
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
    groups = choose_classes(names, cut)
    labels = {part: source.labels(part) for part in PARTS}
    return [
        Task({part: np.flatnonzero(np.isin(labels[part], group)) for part in PARTS}, group)
        for group in groups
    ]


def choose_classes(names: Sequence[str], cut: StreamOptions) -> list[list[int]]:
    """Return the labels of each task's classes, sorted.

    Args:
        names: the names of the classes, by label.
        cut: the stream's options.

    Raises:
        DataError: params do not fit the classes.
    """
    number, seed, irregular = cut.num_tasks, cut.split_seed, cut.irregular
    try:
        if cut.superclasses:
            return group_superclasses(cut.superclasses, names, number, seed, irregular=irregular)
        return group_classes(names, number, seed, cut.order, irregular=irregular)
    except ValueError as error:
        raise DataError(str(error)) from error


def _by_image(source: Source, cut: StreamOptions) -> list[Task]:
    train, test = (np.arange(len(source.labels(part))) for part in PARTS)
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
    return _list_domains(source, cut.num_tasks)


def _list_domains(source: Source, count: int) -> list[Task]:
    """A task for each of the first domains; it need not have the classes of the others."""
    tasks = []
    for number, domain in enumerate(source.domain_names()[:count]):
        images = {part: np.flatnonzero(source.domains(part) == number) for part in PARTS}
        found = {label for part in PARTS for label in source.labels(part)[images[part]].tolist()}
        tasks.append(Task(images, sorted(found - {-1}), domain))
    return tasks


def _by_folder(source: Source, cut: StreamOptions) -> list[Task]:
    """A task for each folder that is there: folders are domains, which need have no labels."""
    return _list_domains(source, len(source.domain_names()))


SCENARIOS: dict[str, Callable[[Source, StreamOptions], list[Task]]] = {
    "class": _by_class,
    "data": _by_image,
    "domain": _by_domain,
    "folders": _by_folder,
}
