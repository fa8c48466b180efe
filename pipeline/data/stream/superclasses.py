"""Tasks of whole superclasses: classes that mean something alike come together."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pipeline.data.stream.division import divide
from pipeline.data.stream.tasks import resolve_class_order
from pipeline.seeding import derive_seed


def group_superclasses(
    superclasses: Sequence[Sequence[str]],
    names: Sequence[str],
    num_tasks: int,
    split_seed: int,
    *,
    irregular: bool,
) -> list[list[int]]:
    """Return the labels of each task's classes, sorted: those of whole superclasses.

    Args:
        superclasses: the names of the classes of each; together every class once.
        names: the names of the classes, by label.
        num_tasks: the number of tasks; if the superclasses do not divide evenly, the first hold
            one more.
        split_seed: the only seed of the superclasses' order.
        irregular: whether the numbers of superclasses a task are drawn.

    Raises:
        ValueError: a class is unknown, repeated or missing, or there are too few superclasses.
    """
    flat = [name for each in superclasses for name in each]
    labels = iter(resolve_class_order(flat, names, "stream.superclasses"))
    if num_tasks > len(superclasses):
        raise ValueError(
            f"num_tasks must be at most {len(superclasses)}, the superclasses of "
            f"stream.superclasses (each task holds whole ones), got {num_tasks}"
        )
    groups = [[next(labels) for _ in each] for each in superclasses]
    random.Random(derive_seed(split_seed, "superclass order")).shuffle(groups)
    divided = divide(groups, num_tasks, split_seed, irregular=irregular)
    return [sorted(label for group in task for label in group) for task in divided]
