"""Division of a sequence into groups: as evenly as can be, or by drawn numbers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

from pipeline.seeding import derive_seed

Item = TypeVar("Item")


def divide(
    items: Sequence[Item], groups: int, split_seed: int, *, irregular: bool
) -> list[Sequence[Item]]:
    """Divide a sequence evenly, or irregularly: arguments and errors as below."""
    if irregular:
        return divide_irregularly(items, groups, split_seed)
    return divide_evenly(items, groups)


def divide_evenly(items: Sequence[Item], groups: int) -> list[Sequence[Item]]:
    """Divide a sequence into groups whose sizes differ by at most one, larger ones first."""
    if not 1 <= groups <= len(items):
        raise ValueError(f"num_tasks must be from 1 to {len(items)}, got {groups}")
    size, more = divmod(len(items), groups)
    return _cut(items, [size + (group < more) for group in range(groups)])


def divide_irregularly(items: Sequence[Item], groups: int, split_seed: int) -> list[Sequence[Item]]:
    """Divide a sequence into groups of drawn sizes, each such division as likely as any other.

    A group holds two items or more where there are three or more for each, else one or more. The
    largest holds at least two more than the smallest, unless there is but one item more than
    groups.

    Args:
        items: more than there are groups.
        groups: how many, from 1.
        split_seed: the only seed of the sizes.

    Raises:
        ValueError: there are not more items than groups.
    """
    if len(items) <= groups:
        raise ValueError(
            f"stream.irregular draws how many of {len(items)} each task holds, so num_tasks must "
            f"be below {len(items)}, got {groups}"
        )
    least = 2 if len(items) >= 3 * groups else 1
    # The items above the least, in a row with groups - 1 walls among them.
    places = len(items) - least * groups + groups - 1
    draw = random.Random(derive_seed(split_seed, "class counts"))
    while True:
        walls = sorted(draw.sample(range(places), groups - 1))
        pairs = zip([-1, *walls], [*walls, places], strict=True)
        sizes = [least + right - left - 1 for left, right in pairs]
        if max(sizes) - min(sizes) > 1 or len(items) - least * groups < 2 or groups == 1:
            return _cut(items, sizes)


def _cut(items: Sequence[Item], sizes: Sequence[int]) -> list[Sequence[Item]]:
    ends = list(accumulate(sizes))
    return [items[end - size : end] for size, end in zip(sizes, ends, strict=True)]
