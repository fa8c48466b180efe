"""Where the labels of a chart go."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def spread_labels(values: Sequence[float], gap: float) -> list[float]:
    """Return heights for labels at ``values``, moved up where they would overlap."""
    heights = list(values)
    order = sorted(range(len(heights)), key=heights.__getitem__)
    for below, above in pairwise(order):
        heights[above] = max(heights[above], heights[below] + gap)
    return heights
