"""Blurred boundaries: neighbouring tasks exchange images near the end of one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

from pipeline.seeding import derive_seed


def blur_boundaries(
    lengths: Sequence[int], share: float, split_seed: int
) -> list[list[tuple[int, int]]]:
    """Return each task's images in the order of the stream, once neighbours have mixed.

    A task's images are put in a drawn order first. With a share of 0.5, the last quarter of a
    task and the first quarter of the next one are mixed, the quarter of whichever is shorter: of
    n images on either side of the boundary, the i-th before it and the i-th after it, i from 1 to
    n, change places with probability (n - i + 1/2) / 2n. So the probability that an image is of
    the next task rises linearly: from 0 where the mixing begins, over 1/2 at the boundary, to 1
    where it ends. All tasks keep their lengths.

    Args:
        lengths: the number of images of each task.
        share: of a task's images, those that lie where neighbours mix, half of them at each of
            its ends; from 0 to 1.
        split_seed: the only seed of orders and exchanges.

    Returns:
        For each task, the task that each of its images is of and its place there, from 0.
    """
    tasks: list[list[tuple[int, int]]] = []
    for task, length in enumerate(lengths):
        places = list(range(length))
        random.Random(derive_seed(split_seed, "order in a task", task + 1)).shuffle(places)
        tasks.append([(task, place) for place in places])
    for boundary, (before, after) in enumerate(pairwise(tasks), start=1):
        draw = random.Random(derive_seed(split_seed, "blurred boundary", boundary))
        mixed = int(share / 2 * min(len(before), len(after)))
        for place in range(mixed):
            if draw.random() < (mixed - place - 0.5) / (2 * mixed):
                before[-1 - place], after[place] = after[place], before[-1 - place]
    return tasks
