"""Division of classes or images into the tasks of a stream."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.data.stream.division import divide, divide_evenly
from pipeline.errors import closest
from pipeline.seeding import derive_seed

Indices = NDArray[np.int64]
# Names or numbers of classes; a list of them is a task.
ClassOrder = Sequence[str | int | Sequence[str | int]]


def resolve_class_order(
    order: Sequence[str | int], names: Sequence[str], param: str = "class_order"
) -> list[int]:
    """Return the labels of classes given by name or by number.

    Args:
        order: every class once.
        names: the names of the classes, by label.
        param: that gives them, for messages.

    Raises:
        ValueError: a class is unknown, repeated or missing.
    """
    labels = _resolve_classes(order, names, param)
    missing = [name for label, name in enumerate(names) if label not in labels]
    if missing:
        raise ValueError(
            f"{param} lacks {len(missing)} of {len(names)} classes: {', '.join(missing[:10])}"
        )
    return labels


def _resolve_classes(
    order: Sequence[str | int], names: Sequence[str], param: str = "class_order"
) -> list[int]:
    """Return the labels of classes given by name or by number, none of them twice."""
    labels: list[int] = []
    for given in order:
        if isinstance(given, str) and given not in names:
            raise ValueError(f"{param}: '{given}' is unknown; {closest(given, names)}")
        label = names.index(given) if isinstance(given, str) else given
        if not 0 <= label < len(names):
            raise ValueError(
                f"{param}: there is no class {label}; classes are numbered from 0 to "
                f"{len(names) - 1}"
            )
        if label in labels:
            raise ValueError(f"{param}: '{names[label]}' ({label}) is there twice")
        labels.append(label)
    return labels


def group_classes(
    names: Sequence[str],
    num_tasks: int,
    split_seed: int,
    order: ClassOrder | None,
    *,
    irregular: bool = False,
) -> list[list[int]]:
    """Return the labels of each task's classes, sorted.

    Args:
        names: the names of the classes, by label.
        num_tasks: the number of tasks.
        split_seed: the seed of the random order.
        order: None: a random order. Names or numbers of all classes: they are divided evenly.
            Lists of them: the first ``num_tasks`` lists are the tasks, and classes in none of
            them are left out, so that one can be added at the end and moves no other.
        irregular: whether the numbers of classes a task are drawn; not with lists.

    Raises:
        ValueError: a class is unknown, repeated or missing, or there are too few lists or classes.
    """
    lists = [] if order is None else [each for each in order if not isinstance(each, str | int)]
    flat = [] if order is None else [each for each in order if isinstance(each, str | int)]
    if lists and flat:
        raise ValueError(
            f"class_order: '{flat[0]}' stands beside lists; give a list for each task, or none"
        )
    if not lists:
        given = None if order is None else resolve_class_order(flat, names)
        return class_incremental(len(names), num_tasks, split_seed, given, irregular=irregular)
    if len(lists) < num_tasks:
        raise ValueError(f"class_order has {len(lists)} lists, and num_tasks is {num_tasks}")
    labels = _resolve_classes([name for each in lists for name in each], names)
    groups = []
    for each in lists:
        groups.append(sorted(labels[: len(each)]))
        labels = labels[len(each) :]
    if not all(groups):
        raise ValueError("class_order: a task's list is empty")
    return groups[:num_tasks]


def class_incremental(
    num_classes: int,
    num_tasks: int,
    split_seed: int,
    order: Sequence[int] | None = None,
    *,
    irregular: bool = False,
) -> list[list[int]]:
    """Return the classes of each task: groups of a random or given order.

    If the classes do not divide evenly, the first tasks hold one class more.

    Args:
        num_classes: classes 0 .. num_classes - 1, at least ``num_tasks``.
        num_tasks: the number of groups, at least 1.
        split_seed: the only seed of the random order, and of drawn numbers.
        order: all classes in order; None: a random order.
        irregular: whether the numbers of classes a task are drawn.

    Raises:
        ValueError: the classes are too few.
    """
    classes = list(range(num_classes) if order is None else order)
    if order is None:
        random.Random(derive_seed(split_seed, "class order")).shuffle(classes)
    groups = divide(classes, num_tasks, split_seed, irregular=irregular)
    return [sorted(group) for group in groups]


def data_incremental(images: Indices, num_tasks: int, split_seed: int) -> list[Indices]:
    """Return the indices of each task's images: a random partition.

    If the images do not divide evenly, the first tasks hold one image more.

    Args:
        images: indices in the data set, ``(N,)``.
        num_tasks: the number of parts, from 1 to N.
        split_seed: the only seed of the random order.
    """
    order = list(range(len(images)))
    random.Random(derive_seed(split_seed, "image order")).shuffle(order)
    return [np.sort(images[list(part)]) for part in divide_evenly(order, num_tasks)]
