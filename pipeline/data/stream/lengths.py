"""Tasks of unequal lengths: the share of its training images that each keeps."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from pipeline.seeding import derive_seed


def draw_shares(num_tasks: int, ratio: float, split_seed: int) -> list[float]:
    """Return the share of its training images that each task keeps, from 1 / ratio to 1.

    They are the powers ratio^(-k / (T - 1)), k from 0 to T - 1, in a drawn order: as steps of one
    factor, the way long-tailed data sets are made of balanced ones (Cao et al., 2019).

    Args:
        num_tasks: the number of tasks, T.
        ratio: the longest task to the shortest, 1 or more.
        split_seed: the only seed of the order.
    """
    shares = [ratio ** (-rank / max(1, num_tasks - 1)) for rank in range(num_tasks)]
    random.Random(derive_seed(split_seed, "task lengths")).shuffle(shares)
    return shares


def choose_left_out(classes: Sequence[str], share: float, split_seed: int, task: int) -> list[int]:
    """Return the places of the images that a task does not keep, sorted.

    Of each class the share is kept, rounded, and one image at least; which ones is drawn.

    Args:
        classes: the class of each image; one name for all where they have no labels.
        share: of the images that are kept.
        split_seed: the seed of the draw.
        task: the task's number.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(classes):
        places[name].append(place)
    draw = random.Random(derive_seed(split_seed, "images kept", task))
    out: list[int] = []
    for name in sorted(places):
        held = places[name]
        out += draw.sample(held, len(held) - max(1, round(share * len(held))))
    return sorted(out)
