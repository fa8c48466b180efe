"""Cut a data set into the tasks of a stream."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pipeline.seeding import derive


def class_incremental(num_classes: int, num_tasks: int, split_seed: int) -> list[list[int]]:
    """Return the classes of each task: shuffled by the split seed, cut into groups.

    Where the classes do not divide evenly, the first tasks hold one class more.

    Args:
        num_classes: classes 0 .. num_classes - 1, at least ``num_tasks``.
        num_tasks: the number of groups, at least 1.
        split_seed: alone decides the order.
    """
    if not 1 <= num_tasks <= num_classes:
        raise ValueError(f"num_tasks must be from 1 to {num_classes}, got {num_tasks}")
    classes = list(range(num_classes))
    random.Random(derive(split_seed, "class order")).shuffle(classes)
    return [sorted(group) for group in _evenly(classes, num_tasks)]


def _evenly(items: Sequence[int], groups: int) -> list[Sequence[int]]:
    size, more = divmod(len(items), groups)
    ends = [size * (group + 1) + min(group + 1, more) for group in range(groups)]
    return [items[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
